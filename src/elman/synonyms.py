"""Words of other tools, and the words of elman for the same things."""

from __future__ import annotations

from collections.abc import Iterable

# A word of elman, and those of other tools: small letters, _ for -. A word may stand for several of ours.
OTHERS: dict[str, str] = {
    # models
    "elman": "rnn rnn_tanh tanh simple_rnn simplernn vanilla vanilla_rnn srn elman_rnn recurrent",
    "lstm": "bilstm awd_lstm lstm_cell",
    "transformer": "gpt gpt2 nanogpt minigpt attention self_attention decoder transformers",
    # settings
    "accumulate": "grad_accum gradient_accumulation gradient_accumulation_steps accumulation",
    "attention": "attn attention_type",
    "average": "ema ema_decay swa",
    "batch_tokens": "bs batch batch_size minibatch max_tokens tokens_per_batch",
    "beta1": "beta betas adam_beta1",
    "beta2": "beta betas adam_beta2",
    "bidirectional": "bidir bi",
    "checkpoint_every": "save_every save_steps save_interval checkpoint_interval",
    "clip_threshold": "clip_norm clipnorm clip_value grad_clip gradient_clip gradient_clipping gradient_clip_val "
    "max_norm max_grad_norm",
    "decoder_layers": "layers n_layers n_layer nlayers num_layers depth",
    "device": "gpu cuda use_cuda accelerator",
    "dropout": "drop drop_rate dropout_rate pdrop",
    "dropout_embedding": "drop drop_rate dropout dropout_rate pdrop dropoute",
    "dropout_hidden": "drop drop_rate dropout dropout_rate pdrop dropouth",
    "dropout_input": "drop drop_rate dropout dropout_rate pdrop dropouti",
    "dropout_output": "drop drop_rate dropout dropout_rate pdrop",
    "embedding_size": "emb emb_size emb_dim embed_dim embedding embedding_dim emsize d_emb",
    "encoder_layers": "layers n_layers n_layer nlayers num_layers depth",
    "feedforward_size": "ffn ffn_dim ffn_size d_ff dff dim_feedforward feedforward intermediate_size mlp_size",
    "final": "min_lr final_lr eta_min",
    "hidden_size": "hidden hidden_dim hidden_units n_hidden nhid n_hid units n_units width d_model n_embd model_dim "
    "rnn_size",
    "k1": "bptt tbptt block_size context context_length context_size seq_len seq_length sequence_length unroll",
    "label_smoothing": "smoothing label_smooth",
    "lanes": "bs batch batch_size minibatch rows",
    "layer_norm": "layernorm norm normalization",
    "learning_rate": "lr learningrate rate base_lr max_lr peak_lr step_size eta",
    "max_length": "max_len max_seq_len max_source_length max_target_length seq_len seq_length sequence_length",
    "min_count": "min_freq min_frequency",
    "momentum": "mom",
    "num_heads": "heads n_heads n_head nhead nheads num_head attention_heads",
    "num_layers": "layers n_layers n_layer nlayers num_layer depth",
    "optimizer": "opt optim optimiser",
    "patience": "early_stopping early_stop",
    "positions": "rope pos position pos_encoding positional_encoding",
    "precision": "dtype amp fp16 bf16 mixed_precision",
    "residual": "residuals skip skip_connections",
    "schedule": "scheduler lr_scheduler lr_schedule",
    "scheduled_sampling": "teacher_forcing teacher_forcing_ratio",
    "seed": "random_seed manual_seed",
    "tied": "tie tie_weights tied_weights tie_embeddings weight_tying",
    "validate_every": "eval_every eval_steps eval_interval val_every val_interval",
    "vocab_size": "vocab vocabulary vocabulary_size n_vocab max_vocab",
    "warmup": "warmup_steps warmup_ratio warmup_fraction",
    "weight_decay": "wd l2 decay weightdecay",
    "weight_dropout": "wdrop weight_drop dropconnect",
    "window": "context context_length context_size attention_window window_size sliding_window",
    # values
    "additive": "bahdanau",
    "adamw": "adam",
    "bfloat16": "bf16 fp16 float16 half amp mixed",
    "bpe": "subword sentencepiece wordpiece tiktoken",
    "byte": "bytes",
    "char": "chars character characters letter letters",
    "cosine": "cos cosine_annealing",
    "cuda": "gpu nvidia",
    "dot": "luong",
    "float32": "fp32 float single full",
    "general": "luong",
    "parameters": "params size",
    "rotary": "rope",
    "sinusoidal": "sin sine",
    "time": "wall wall_time seconds",
    "word": "words whitespace",
}


def synonyms(name: str, known: Iterable[str]) -> list[str]:
    """The known words that a name from another tool stands for; a section before a dot is left out.

    >>> synonyms("lr", ["learning_rate", "schedule"]), synonyms("train.n-layer", ["num_layers"])
    (['learning_rate'], ['num_layers'])
    """
    word = name.rpartition(".")[2].lower().replace("-", "_")
    return [ours for ours in known if word in OTHERS.get(ours, "").split()]
