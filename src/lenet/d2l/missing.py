"""What the book's package has beyond the chapters that are here, and where the book has it."""

from __future__ import annotations

from typing import Final

_PARTS: Final = {
    "downloads of other data sets": """
        DATA_HUB DATA_URL download download_all download_extract extract mkdir_if_not_exist
        """,
    "recurrent networks": """
        GRU RNN RNNLM RNNLMScratch RNNModel RNNModelScratch RNNScratch SeqDataLoader TimeMachine
        Vocab count_corpus load_corpus_time_machine load_data_time_machine predict_ch8
        read_time_machine seq_data_iter_consecutive seq_data_iter_random seq_data_iter_sequential
        tokenize train_ch8 train_epoch_ch8
        """,
    "translation and encoders with decoders": """
        Decoder Encoder EncoderDecoder MTFraEng MaskedSoftmaxCELoss Seq2Seq Seq2SeqDecoder
        Seq2SeqEncoder bleu build_array build_array_nmt init_seq2seq load_data_nmt
        predict_s2s_ch9 predict_seq2seq preprocess_nmt read_data_nmt sequence_mask
        show_list_len_pair_hist tokenize_nmt train_s2s_ch9 train_seq2seq translate truncate_pad
        """,
    "attention and Transformers": """
        AddNorm AdditiveAttention AttentionDecoder DotProductAttention EncoderBlock MLPAttention
        MultiHeadAttention PositionWiseFFN PositionalEncoding TransformerEncoder
        TransformerEncoderBlock masked_softmax show_heatmaps transpose_output transpose_qkv
        """,
    "optimization algorithms": """
        annotate get_data_ch11 show_trace_2d train_2d train_ch11 train_concise_ch11
        """,
    "computational performance": "Benchmark resnet18 split_batch train_batch_ch13 train_ch13",
    "computer vision": """
        BananasDataset VOCSegDataset VOC_CLASSES VOC_COLORMAP assign_anchor_to_bbox bbox_to_rect
        box_center_to_corner box_corner_to_center box_iou copyfile load_data_bananas load_data_voc
        multibox_detection multibox_prior multibox_target nms offset_boxes offset_inverse
        read_csv_labels read_data_bananas read_voc_images reorg_test reorg_train_valid show_bboxes
        voc_colormap2label voc_label_indices voc_rand_crop
        """,
    "natural language processing": """
        BERTEncoder BERTModel MaskLM NextSentencePred RandomGenerator SNLIDataset TokenEmbedding
        batchify get_centers_and_contexts get_negatives get_tokens_and_segments load_data_imdb
        load_data_ptb load_data_snli load_data_wiki predict_sentiment predict_snli read_imdb
        read_ptb read_snli subsample subsampling
        """,
    "reinforcement learning": """
        frozen_lake make_env show_Q_function_progress show_value_function_progress
        """,
    "Gaussian processes": "rbfkernel",
    "hyperparameter optimization": """
        BasicScheduler HPOScheduler HPOSearcher HPOTrainer HPOTuner RandomSearcher
        SuccessiveHalvingScheduler hpo_objective_lenet
        """,
    "adversarial networks": "update_D update_G",
}

PART_OF: Final = {name: part for part, names in _PARTS.items() for name in names.split()}


def message(module: str, name: str) -> str:
    """Why ``module`` has no such name: that of an AttributeError."""
    text = f"module {module!r} has no attribute {name!r}"
    if part := PART_OF.get(name):
        text += (
            f": in the book it belongs to {part}, which LeNet leaves out; "
            "docs/d2l.md lists what is here"
        )
    return text
