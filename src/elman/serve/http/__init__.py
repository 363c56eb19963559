"""Sessions over HTTP: FastAPI's app, the OpenAI routes, server-sent events, WebSockets, metrics, and the page."""
