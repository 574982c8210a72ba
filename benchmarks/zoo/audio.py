"""Audio models of the transformers library, at small width."""

from __future__ import annotations

from functools import partial

from benchmarks.zoo.entry import arrays, from_transformers, waves

__all__ = ["AUDIO"]

_audio = partial(from_transformers, "audio")

_WAVES = {
    "vocab_size": 32, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 64, "conv_dim": [16, 16, 16], "conv_stride": [5, 4, 4],
    "conv_kernel": [10, 8, 4], "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
    "classifier_proj_size": 16, "num_feat_extract_layers": 3,
}  # fmt: skip
_WHISPER = {
    "vocab_size": 100, "num_mel_bins": 16, "d_model": 32, "encoder_layers": 2, "decoder_layers": 1,
    "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64, "max_source_positions": 50, "classifier_proj_size": 16,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
    "suppress_tokens": None, "begin_suppress_tokens": None,
}  # fmt: skip
_SPEECH = {
    "vocab_size": 100, "d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 4,
    "encoder_ffn_dim": 64, "input_feat_per_channel": 16, "input_channels": 1, "conv_channels": 32,
    "max_source_positions": 100, "decoder_layers": 1, "decoder_attention_heads": 4,
    "decoder_ffn_dim": 64,
}  # fmt: skip
_BERT = {**_WAVES, "feature_projection_input_dim": 32, "position_embeddings_type": "relative_key",
         "conv_depthwise_kernel_size": 7}  # fmt: skip
_features = partial(arrays, names=("input_features",))

AUDIO = [
    _audio("Wav2Vec2", "Wav2Vec2ForSequenceClassification", waves, **_WAVES),
    _audio("Wav2Vec2 large form", "Wav2Vec2ForSequenceClassification", waves, **_WAVES,
           feat_extract_norm="layer", do_stable_layer_norm=True),
    _audio("Wav2Vec2 CTC", "Wav2Vec2ForCTC", waves, **_WAVES),
    _audio("Wav2Vec2-BERT", "Wav2Vec2BertForSequenceClassification",
           partial(_features, (48, 32)), **_BERT),
    _audio("Wav2Vec2-Conformer", "Wav2Vec2ConformerForSequenceClassification", waves, **_WAVES,
           conv_depthwise_kernel_size=7),
    _audio("HuBERT", "HubertForSequenceClassification", waves, **_WAVES),
    _audio("WavLM", "WavLMForSequenceClassification", waves, **_WAVES, num_buckets=32,
           max_bucket_distance=80),
    _audio("SEW", "SEWForSequenceClassification", waves, **_WAVES, squeeze_factor=2),
    _audio("SEW-D", "SEWDForSequenceClassification", waves, **_WAVES, squeeze_factor=2,
           position_buckets=16, max_position_embeddings=64),
    _audio("UniSpeech", "UniSpeechForSequenceClassification", waves, **_WAVES),
    _audio("UniSpeech-SAT", "UniSpeechSatForSequenceClassification", waves, **_WAVES),
    _audio("Data2Vec audio", "Data2VecAudioForSequenceClassification", waves,
           **{**_WAVES, "num_conv_pos_embeddings": 2}, conv_pos_kernel_size=5),
    _audio("Whisper classifier", "WhisperForAudioClassification",
           partial(_features, (16, 100)), **_WHISPER),
    _audio("Whisper encoder", "WhisperModel.encoder", partial(_features, (16, 100)), **_WHISPER),
    _audio("AST", "ASTForAudioClassification", partial(arrays, (64, 32), names=("input_values",)),
           hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
           max_length=64, num_mel_bins=32),
    _audio("Speech2Text encoder", "Speech2TextModel.encoder", partial(_features, (80, 16)),
           **_SPEECH),
    _audio("CLAP audio", "ClapAudioModelWithProjection",
           partial(arrays, (1, 256, 16), names=("input_features",)), spec_size=64, num_mel_bins=16,
           patch_size=4, patch_stride=[4, 4], num_classes=10, hidden_size=48,
           patch_embeds_hidden_size=24, depths=[1, 1], num_attention_heads=[2, 4], window_size=4,
           projection_dim=16, enable_fusion=False),
    _audio("EnCodec", "EncodecModel", partial(arrays, (1, 1600), names=("input_values",)),
           num_filters=4, hidden_size=16, codebook_size=32, codebook_dim=16,
           upsampling_ratios=[4, 4], target_bandwidths=[12.0], sampling_rate=16000),
    _audio("Moonshine encoder", "MoonshineModel.encoder", waves, vocab_size=100, hidden_size=32,
           intermediate_size=64, encoder_num_hidden_layers=2, encoder_num_attention_heads=4,
           decoder_num_hidden_layers=1, decoder_num_attention_heads=4),
]  # fmt: skip
