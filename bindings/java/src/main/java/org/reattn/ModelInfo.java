package org.reattn;

import org.reattn.raw.reattn_model_info;

/**
 * What a model says of itself.
 *
 * @param device that it was opened on, never AUTO
 * @param nLayers layers
 * @param nEmbd width of the residual stream
 * @param nHeads query heads
 * @param nKvHeads key and value heads
 * @param headDim numbers to a head
 * @param nFf width of the feed-forward layer
 * @param nVocab token ids are 0 to nVocab - 1
 * @param nWindow tokens of the trained window
 * @param nMetadata entries of {@link Model#metadata}
 * @param weightsBytes weights as held in memory
 * @param modelFingerprint 64 bits of header and tensors; 0 when only the header was read
 * @param tokenizerFingerprint likewise, of the tokenizer
 * @param ropeFreqBase base of the rotary positions
 * @param normEps epsilon of the norms
 * @param bosToken begin of text; -1: none, as the next four
 * @param eosToken end of text
 * @param eotToken end of turn
 * @param unkToken unknown
 * @param padToken padding
 * @param addBos the model expects bosToken first; the library never adds it by itself
 * @param addEos likewise, at the end
 * @param hasChatTemplate conversations can be tokenized
 * @param tiedEmbeddings the output matrix is the embedding table
 * @param headerOnly only the header was read
 * @param weights what the weights are held in, as it was opened
 */
public record ModelInfo(
    Device device,
    long nLayers,
    long nEmbd,
    long nHeads,
    long nKvHeads,
    long headDim,
    long nFf,
    long nVocab,
    long nWindow,
    long nMetadata,
    long weightsBytes,
    long modelFingerprint,
    long tokenizerFingerprint,
    double ropeFreqBase,
    double normEps,
    int bosToken,
    int eosToken,
    int eotToken,
    int unkToken,
    int padToken,
    boolean addBos,
    boolean addEos,
    boolean hasChatTemplate,
    boolean tiedEmbeddings,
    boolean headerOnly,
    Weights weights) {
  static ModelInfo of(reattn_model_info raw) {
    return new ModelInfo(
        Device.of(raw.getDevice()),
        raw.getN_layers(),
        raw.getN_embd(),
        raw.getN_heads(),
        raw.getN_kv_heads(),
        raw.getHead_dim(),
        raw.getN_ff(),
        raw.getN_vocab(),
        raw.getN_window(),
        raw.getN_metadata(),
        raw.getWeights_bytes(),
        raw.getModel_fingerprint(),
        raw.getTokenizer_fingerprint(),
        raw.getRope_freq_base(),
        raw.getNorm_eps(),
        raw.getBos_token(),
        raw.getEos_token(),
        raw.getEot_token(),
        raw.getUnk_token(),
        raw.getPad_token(),
        raw.getAdd_bos() != 0,
        raw.getAdd_eos() != 0,
        raw.getHas_chat_template() != 0,
        raw.getTied_embeddings() != 0,
        raw.getHeader_only() != 0,
        Weights.of(raw.getWeights()));
  }
}
