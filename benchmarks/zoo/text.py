"""Text models of the transformers library, at small width."""

from __future__ import annotations

from functools import partial

from benchmarks.zoo.entry import Entry, from_transformers, sentences, tokens, unmasked

__all__ = ["TEXT"]

_text = partial(from_transformers, "text")

_BERT = {
    "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
    "intermediate_size": 64, "max_position_embeddings": 64, "pad_token_id": 1,
}  # fmt: skip
_LLAMA = {**_BERT, "num_key_value_heads": 2, "bos_token_id": 2, "eos_token_id": 3}
_GPT = {
    "vocab_size": 100, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64,
    "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3,
}  # fmt: skip
_T5 = {
    "vocab_size": 100, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 3, "num_heads": 4,
    "pad_token_id": 0, "eos_token_id": 3,
}  # fmt: skip
_BART = {
    "vocab_size": 100, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2,
    "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64, "max_position_embeddings": 64, "pad_token_id": 1,
}  # fmt: skip


def _classifier(name: str, model: str, **further: object) -> Entry:
    return _text(name, f"{model}ForSequenceClassification", tokens, **{**_BERT, **further})


def _decoder(name: str, model: str, **further: object) -> Entry:
    return _text(name, f"{model}ForSequenceClassification", tokens, **{**_LLAMA, **further})


TEXT = [
    _text("BERT", "BertForSequenceClassification", partial(tokens, token_type_ids=2), **_BERT),
    _classifier("DistilBERT", "DistilBert", dim=32, hidden_dim=64, n_layers=3, n_heads=4),
    _classifier("RoBERTa", "Roberta", max_position_embeddings=66),
    _classifier("XLM-R", "XLMRoberta", max_position_embeddings=66),
    _classifier("CamemBERT", "Camembert", max_position_embeddings=66),
    _classifier("RoBERTa-prelayernorm", "RobertaPreLayerNorm", max_position_embeddings=66),
    _classifier("ALBERT", "Albert", embedding_size=16),
    _classifier("ELECTRA", "Electra", embedding_size=16),
    _classifier("MobileBERT", "MobileBert", embedding_size=16, intra_bottleneck_size=16,
                true_hidden_size=16, num_feedforward_networks=2),
    _classifier("SqueezeBERT", "SqueezeBert", embedding_size=32),
    _classifier("ConvBERT", "ConvBert", embedding_size=16, head_ratio=2, conv_kernel_size=3),
    _classifier("MPNet", "MPNet", max_position_embeddings=66),
    _classifier("DeBERTa", "Deberta", relative_attention=True, pos_att_type=["c2p", "p2c"],
                position_biased_input=False, type_vocab_size=0),
    _classifier("DeBERTaV2", "DebertaV2", relative_attention=True, pos_att_type=["c2p", "p2c"],
                position_buckets=16, norm_rel_ebd="layer_norm", share_att_key=True),
    _text("FNet", "FNetForSequenceClassification", unmasked, **_BERT),
    _text("Funnel", "FunnelForSequenceClassification", tokens, vocab_size=100, d_model=32,
          block_sizes=[1, 1], n_head=4, d_head=8, d_inner=64),
    _text("LayoutLM", "LayoutLMForSequenceClassification", tokens, **_BERT),
    _classifier("Longformer", "Longformer", attention_window=8, max_position_embeddings=66),
    _classifier("BigBird", "BigBird", attention_type="original_full"),
    _classifier("Nystromformer", "Nystromformer", num_landmarks=32, segment_means_seq_len=32,
                conv_kernel_size=5),
    _classifier("ModernBERT", "ModernBert", local_attention=8, global_attn_every_n_layers=2,
                cls_token_id=2, sep_token_id=3),
    _classifier("NomicBERT", "NomicBert"),
    _classifier("EuroBERT", "EuroBert", num_key_value_heads=2),
    _classifier("RoFormer", "RoFormer", embedding_size=16),
    _classifier("RemBERT", "RemBert", input_embedding_size=16, output_embedding_size=16),
    _classifier("MegatronBERT", "MegatronBert"),
    _classifier("ERNIE", "Ernie"),
    _classifier("ESM", "Esm", position_embedding_type="rotary", mask_token_id=4),
    _classifier("I-BERT", "IBert", max_position_embeddings=66),
    _classifier("CANINE", "Canine", num_hash_buckets=64, num_hash_functions=4,
                local_transformer_stride=8, downsampling_rate=4, upsampling_kernel_size=4),
    _text("XLNet", "XLNetForSequenceClassification", tokens, vocab_size=100, d_model=32,
          n_layer=2, n_head=4, d_inner=64, use_mems_eval=False),
    _text("XLM", "XLMForSequenceClassification", tokens, vocab_size=100, emb_dim=32, n_layers=2,
          n_heads=4, max_position_embeddings=64, pad_index=1),
    _text("FlauBERT", "FlaubertForSequenceClassification", tokens, vocab_size=100, emb_dim=32,
          n_layers=2, n_heads=4, max_position_embeddings=64, pad_index=1),
    _text("Perceiver", "PerceiverForSequenceClassification", tokens, vocab_size=100, d_model=32,
          num_latents=8, d_latents=32, num_blocks=1, num_self_attends_per_block=2,
          num_self_attention_heads=4, num_cross_attention_heads=4, max_position_embeddings=32,
          qk_channels=32, v_channels=32),
    _text("Reformer", "ReformerForSequenceClassification", tokens, vocab_size=100,
          attention_head_size=8, attn_layers=["local", "local"], axial_pos_embds=False,
          feed_forward_size=64, hidden_size=32, max_position_embeddings=32,
          num_attention_heads=4, local_attn_chunk_length=8, is_decoder=False),
    _text("GPT-2", "GPT2ForSequenceClassification", tokens, **_GPT),
    _text("OpenAI GPT", "OpenAIGPTForSequenceClassification", tokens, **_GPT),
    _text("GPT-BigCode", "GPTBigCodeForSequenceClassification", tokens, **_GPT),
    _text("GPT-J", "GPTJForSequenceClassification", tokens, **_GPT, rotary_dim=4),
    _text("GPT-Neo", "GPTNeoForSequenceClassification", tokens, vocab_size=100, hidden_size=32,
          num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]], window_size=8,
          max_position_embeddings=64, pad_token_id=1, bos_token_id=2, eos_token_id=3),
    _decoder("GPT-NeoX", "GPTNeoX"),
    _decoder("OPT", "OPT", ffn_dim=64, word_embed_proj_dim=32),
    _decoder("BLOOM", "Bloom", n_layer=3, n_head=4),
    _decoder("MPT", "Mpt", d_model=32, n_heads=4, n_layers=2, max_seq_len=64),
    _decoder("Falcon", "Falcon"),
    _decoder("LLaMA", "Llama"),
    _decoder("Mistral", "Mistral", sliding_window=8),
    _decoder("Qwen2", "Qwen2"),
    _decoder("Qwen3", "Qwen3", head_dim=8),
    _decoder("Gemma2", "Gemma2", head_dim=8, sliding_window=8),
    _decoder("Phi", "Phi"),
    _decoder("Phi-3", "Phi3"),
    _decoder("StableLM", "StableLm"),
    _decoder("Mixtral", "Mixtral", num_local_experts=4),
    _text("T5 encoder", "T5EncoderModel", tokens, **_T5),
    _text("mT5 encoder", "MT5EncoderModel", tokens, **_T5),
    _text("T5 classifier", "T5ForSequenceClassification", sentences,
          **_T5, num_decoder_layers=2, decoder_start_token_id=0),
    _text("BART encoder", "BartForSequenceClassification", sentences, **_BART,
          eos_token_id=3, decoder_start_token_id=3, bos_token_id=2),
    _text("CLIP text", "CLIPTextModelWithProjection", tokens, **_BERT, bos_token_id=2,
          eos_token_id=3, projection_dim=24),
    _text("SigLIP text", "SiglipTextModel", tokens, **_BERT, projection_size=24),
    _text("DPR", "DPRQuestionEncoder", tokens, **_BERT),
]  # fmt: skip
