package org.reattn;

import org.reattn.raw.reattn_memory_plan;

/**
 * What a session would take.
 *
 * @param fits what is still to be allocated fits into memoryFree
 * @param weightsBytes weights as held
 * @param kvBytes cache of the tokens
 * @param workingBytes activations of the largest step, at most
 * @param totalBytes the sum
 * @param memoryFree of the device, now
 */
public record MemoryPlan(
    boolean fits,
    long weightsBytes,
    long kvBytes,
    long workingBytes,
    long totalBytes,
    long memoryFree) {
  static MemoryPlan of(reattn_memory_plan raw) {
    return new MemoryPlan(
        raw.getFits() != 0,
        raw.getWeights_bytes(),
        raw.getKv_bytes(),
        raw.getWorking_bytes(),
        raw.getTotal_bytes(),
        raw.getMemory_free());
  }
}
