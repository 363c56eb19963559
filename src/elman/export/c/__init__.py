"""Models as C99: functions from a module to the text of a header and a source file, which need libm alone."""
