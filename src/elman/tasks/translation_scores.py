def greedy_scores(model, texts, source_tokenizer, target_tokenizer):
    return {}
