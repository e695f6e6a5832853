//! What models can be opened on.
use std::path::Path;

use reattn_sys as sys;

use crate::error::Result;
use crate::raw::{call, info, numbered, path_bytes, text_output};

numbered! {
    /// A kind of device.
    Device {
        /// The fastest that can be used; the choice goes to the log.
        Auto = REATTN_DEVICE_AUTO,
        /// The CPU.
        Cpu = REATTN_DEVICE_CPU,
        /// An NVIDIA GPU; [`Code::NoDevice`](crate::Code::NoDevice) with the reason where it cannot be used.
        Cuda = REATTN_DEVICE_CUDA,
    }
}

/// A device that models can be opened on.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The CPU or a GPU, never `Auto`.
    pub device: Device,
    /// Which of its kind, from 0.
    pub index: i32,
    /// Bytes.
    pub memory_total: u64,
    /// Bytes that could be allocated now.
    pub memory_free: u64,
    /// What `n_threads` 0 means for a model; 0 for a GPU.
    pub n_threads: i32,
    /// As the machine calls it.
    pub name: String,
    /// What the kernels use, e.g. "AVX2".
    pub instructions: String,
}

fn text(chars: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = chars.iter().map(|&c| c as u8).take_while(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// All devices that models can be opened on: the CPU, then the GPUs.
pub fn devices() -> Result<Vec<DeviceInfo>> {
    let mut count = 0;
    // SAFETY: `count` is there to be written.
    call(|err| unsafe { sys::reattn_device_count(&mut count, err) })?;
    let describe = |index| {
        let device = info!(reattn_device_info, reattn_device_get_info(index))?;
        Ok(DeviceInfo {
            device: Device::from_number(device.kind),
            index: device.index,
            memory_total: device.memory_total,
            memory_free: device.memory_free,
            n_threads: device.n_threads,
            name: text(&device.name),
            instructions: text(&device.instructions),
        })
    };
    (0..count).map(describe).collect()
}

/// What models can be opened on, and why not on the rest, as text for people.
pub fn diagnose() -> Result<String> {
    // SAFETY: the buffer is as long as `output` says.
    text_output(512, |buffer, length, needed, err| unsafe {
        sys::reattn_backend_diagnose(buffer, length, needed, err)
    })
}

/// Opens the CUDA plug-in at `path`. Without this call the one beside the library is opened when a device is
/// first asked for.
pub fn load_backend(path: impl AsRef<Path>) -> Result<()> {
    let path = path_bytes(path.as_ref());
    // SAFETY: the path is as long as is said.
    call(|err| unsafe { sys::reattn_backend_load(path.as_ptr(), path.len() as u64, err) })?;
    Ok(())
}
