package org.reattn;

import org.reattn.raw.reattn_device_info;

/**
 * A device that models can be opened on.
 *
 * @param kind CPU or CUDA
 * @param memoryTotal bytes
 * @param memoryFree bytes that could be allocated now
 * @param nThreads what nThreads 0 means for a model; 0 for CUDA
 * @param index its own, from 0
 * @param name as the machine calls itself
 * @param instructions what the kernels use, such as AVX2
 */
public record DeviceInfo(
    Device kind,
    long memoryTotal,
    long memoryFree,
    int nThreads,
    int index,
    String name,
    String instructions) {
  static DeviceInfo of(reattn_device_info raw) {
    return new DeviceInfo(
        Device.of(raw.getKind()),
        raw.getMemory_total(),
        raw.getMemory_free(),
        raw.getN_threads(),
        raw.getIndex(),
        Native.string(raw.getName()),
        Native.string(raw.getInstructions()));
  }
}
