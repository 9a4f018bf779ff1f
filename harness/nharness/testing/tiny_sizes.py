"""The small values that make a config tiny: by the name of the size, and by model where names are not enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _all(value: Any, names: str) -> dict[str, Any]:
    return dict.fromkeys(names.split(), value)


WIDTH = 32
BY_NAME: Mapping[str, Any] = {
    **_all(99, "vocab_size decoder_vocab_size unpadded_vocab_size vocab_size_per_layer_input"),
    **_all(
        32,
        "hidden_size d_model n_embd emb_dim embedding_dim embedding_size word_embed_proj_dim input_embedding_size "
        "output_embedding_size attention_hidden_size backbone_hidden_size lru_width",
    ),
    **_all(
        40,
        "intermediate_size ffn_dim dff dim_ff d_inner encoder_ffn_dim decoder_ffn_dim feed_forward_size "
        "ffn_hidden_size intermediate_size_mlp dense_intermediate_size n_inner",
    ),
    **_all(
        24,
        "moe_intermediate_size shared_intermediate_size shared_expert_intermediate_size expert_ffn_hidden_size "
        "moe_shared_expert_intermediate_size shared_experts_intermediate_size",
    ),
    **_all(
        2,
        "num_hidden_layers n_layer n_layers num_layers encoder_layers decoder_layers num_decoder_layers "
        "num_encoder_layers",
    ),
    **_all(
        4,
        "num_attention_heads n_head n_heads num_heads encoder_attention_heads decoder_attention_heads attention_heads "
        "num_encoder_attention_heads num_decoder_attention_heads swa_num_attention_heads",
    ),
    **_all(2, "num_key_value_heads swa_num_key_value_heads num_global_key_value_heads"),
    **_all(8, "head_dim dim_head d_head swa_head_dim global_head_dim attention_head_size"),
    **_all(4, "num_experts num_local_experts n_routed_experts moe_num_experts"),
    **_all(2, "num_experts_per_tok num_experts_per_token moe_topk moe_k top_k_experts"),
    **_all(1, "n_group topk_group num_expert_group n_shared_experts num_shared_experts moe_num_shared_experts"),
    **_all(16, "kv_lora_rank q_lora_rank router_hidden_size laurel_rank"),
    **_all(4, "qk_rope_head_dim rotary_dim"),
    **_all(8, "qk_nope_head_dim v_head_dim"),
    **_all(
        64,
        "max_position_embeddings n_positions n_ctx max_seq_len model_max_length max_target_positions context_length",
    ),
    **_all(
        16,
        "sliding_window attention_window_size local_attention window_size sliding_window_size attention_chunk_size",
    ),
    **_all(8, "linear_head_dim linear_key_head_dim linear_value_head_dim index_head_dim mamba_d_head mamba_head_dim"),
    **_all(4, "linear_num_heads linear_num_key_heads linear_num_value_heads index_n_heads mamba_num_heads"),
    **_all(16, "mamba_chunk_size chunk_size"),
    **_all(1, "first_k_dense_replace num_dense_layers"),
    **_all([0], "mlp_only_layers"),
    **_all(8, "mamba_d_state ssm_state_size state_size hidden_size_per_layer_input"),
    **_all(0, "pad_token_id"),
    **_all(1, "bos_token_id decoder_start_token_id"),
    **_all(2, "eos_token_id"),
}
# Leave the size to the config.
DEFAULT = object()
# Attention through a compressed cache: the sizes of a head are parts of it, and every head has its own key.
LATENT_ATTENTION: Mapping[str, Any] = {"head_dim": DEFAULT, "num_key_value_heads": 4}
# The part of a composite config that the causal language model is made from.
PARTS: Mapping[str, str] = {"musicgen": "decoder", "musicgen_melody": "decoder"}
UNBUILDABLE: Mapping[str, str] = {
    "dots3_note": "its audio and vision towers have no small config",
    "gemma3n": "its vision tower needs the package timm",
    "gemma4_assistant": "it drafts for another model, whose cache it needs",
    "gemma4_unified_assistant": "it drafts for another model, whose cache it needs",
}
BY_MODEL: Mapping[str, Mapping[str, Any]] = {
    "beam": {"mlp_layer_types": ["dense", "sparse"]},
    "bamba": {"mamba_n_heads": 8, "mamba_d_head": 8},
    "blt": {
        "encoder_hash_byte_group_size": [2],
        "encoder_hash_byte_group_vocab": 50,
        "patcher_config": {},
        "encoder_config": {},
        "decoder_config": {"hidden_size_global": 32},
        "global_config": {},
    },
    "cohere_compass_text": {
        "layer_types": ["sliding_attention", "full_attention"],
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            "full_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
    },
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10000.0},
        "ffn_config": {"ffn_hidden_size": 40, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "falcon_h1": {"mamba_d_ssm": 64, "mamba_n_heads": 8, "mamba_d_head": 8},
    "gemma3n_text": {"num_kv_shared_layers": 0, "activation_sparsity_pattern": [0.5, 0.0]},
    "gemma4_text": {"enable_moe_block": True},
    "gemma4_unified": {
        "vision_config": {"mm_embed_dim": 32, "mm_posemb_size": 16, "patch_size": 4, "output_proj_dims": 32}
    },
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "granitemoehybrid": {"mamba_n_heads": 8, "mamba_d_head": 8, "layer_types": ["mamba", "attention"]},
    "inkling_text": {"n_shared_experts": 2},
    "inkling2_text": {"n_shared_experts": 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "longcat_flash": {"head_dim": 4, "zero_expert_num": 2},
    "mamba2": {"head_dim": 16, "num_heads": 4, "n_groups": 2},
    "musicgen": {"decoder": {"num_codebooks": 1}},
    "musicgen_melody": {"decoder": {"num_codebooks": 1}},
    "nemotron_h": {"n_groups": 2, "mamba_head_dim": 16, "moe_latent_size": None},
    "phi4_multimodal": {"audio_config": {"num_blocks": 1, "nemo_conv_channels": 32, "ext_pw_out_channel": 32}},
    "reformer": {
        "is_decoder": True,
        "attn_layers": ["local", "local"],
        "axial_pos_embds_dim": [16, 16],
        "axial_pos_shape": [8, 8],
        "local_attn_chunk_length": 8,
    },
    "roc_bert": {
        "pronunciation_vocab_size": 9,
        "shape_vocab_size": 9,
        "pronunciation_embed_dim": 8,
        "shape_embed_dim": 8,
    },
    "xmod": {"default_language": "en_XX"},
    "zamba": {
        "num_hidden_layers": 4,
        "layers_block_type": ["linear_attention", "hybrid"] * 2,
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
        "mamba_dt_rank": 4,
        "num_key_value_heads": 4,
    },
    "zamba2": {
        "num_hidden_layers": 4,
        "layers_block_type": ["linear_attention", "hybrid"] * 2,
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
        "mamba_headdim": 8,
        "num_key_value_heads": 4,
        "adapter_rank": 8,
    },
    "zaya": {"num_experts_per_tok": 1},
}
