//! The few shapes that all calls of the C interface have: an error to take over, handles to free,
//! outputs of unknown length, structs that state their size.
use std::time::Duration;

use reattn_sys as sys;

use crate::error::{Code, Error, Result};

/// A status that is no error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    End,
    Timeout,
}

/// The library is there, or where it was looked for.
pub(crate) fn ensure() -> Result<()> {
    sys::load::ensure().map_err(|problem| Error::new(Code::Io, problem))
}

/// Calls a function of the library with the place for its error.
pub(crate) fn call(f: impl FnOnce(*mut *mut sys::reattn_error) -> i32) -> Result<Status> {
    ensure()?;
    let mut err = std::ptr::null_mut();
    let status = f(&mut err);
    match status {
        sys::REATTN_OK => Ok(Status::Ok),
        sys::REATTN_END => Ok(Status::End),
        sys::REATTN_TIMEOUT => Ok(Status::Timeout),
        _ if status > 0 => Ok(Status::Ok),
        // SAFETY: on a negative status the library hands over an error, which is freed there.
        _ => Err(unsafe { Error::take(status, err) }),
    }
}

/// The types of objects that the library hands out.
pub(crate) trait Object {
    unsafe fn free(handle: *mut Self);
}

macro_rules! objects {
    ($($object:ident, $free:ident;)*) => {
        $(impl Object for sys::$object {
            unsafe fn free(handle: *mut Self) {
                // SAFETY: the caller's.
                unsafe { sys::$free(handle) }
            }
        })*
    };
}

objects! {
    reattn_model, reattn_model_free;
    reattn_session, reattn_session_free;
    reattn_cache, reattn_cache_free;
    reattn_request, reattn_request_free;
    reattn_queue, reattn_queue_free;
}

/// An object of the library, freed when this is dropped.
pub(crate) struct Handle<T: Object>(*mut T);

// SAFETY: a handle is a number that the library checks on every call, not an address, and nothing
// of the library belongs to a thread. Any thread may call, overlapping calls that are not allowed
// give E_BUSY, and any thread may free, also while others are inside a call.
unsafe impl<T: Object> Send for Handle<T> {}
unsafe impl<T: Object> Sync for Handle<T> {}

impl<T: Object> Handle<T> {
    /// Takes over what `create` writes to its first argument.
    pub fn create(
        create: impl FnOnce(*mut *mut T, *mut *mut sys::reattn_error) -> i32,
    ) -> Result<Self> {
        let mut handle = std::ptr::null_mut();
        call(|err| create(&mut handle, err))?;
        Ok(Handle(handle))
    }

    pub fn get(&self) -> *mut T {
        self.0
    }

    /// The number alone, which keeps nothing alive.
    pub fn weak(&self) -> Weak<T> {
        Weak(self.0)
    }
}

impl<T: Object> Drop for Handle<T> {
    fn drop(&mut self) {
        // SAFETY: this is the only owner of the handle.
        unsafe { T::free(self.0) }
    }
}

/// An object of the library that somebody else owns. Once that one freed it, calls give E_HANDLE.
pub(crate) struct Weak<T: Object>(*mut T);

// SAFETY: as for `Handle`.
unsafe impl<T: Object> Send for Weak<T> {}
unsafe impl<T: Object> Sync for Weak<T> {}

impl<T: Object> Clone for Weak<T> {
    fn clone(&self) -> Self {
        Weak(self.0)
    }
}

impl<T: Object> Weak<T> {
    pub fn get(&self) -> *mut T {
        self.0
    }
}

/// What `f(buffer, capacity, needed, err)` writes: with a first guess at the length, and again when
/// that was too small. `zero` fills the buffer beforehand.
pub(crate) fn output<T: Copy>(
    guess: usize,
    zero: T,
    mut f: impl FnMut(*mut T, u64, *mut u64, *mut *mut sys::reattn_error) -> i32,
) -> Result<Vec<T>> {
    let mut buffer = vec![zero; guess];
    loop {
        let mut needed = 0;
        match call(|err| f(buffer.as_mut_ptr(), buffer.len() as u64, &mut needed, err)) {
            Ok(_) => {
                buffer.truncate(needed as usize);
                return Ok(buffer);
            }
            // What is asked about may grow between two calls, so this may happen more than once.
            Err(error) if error.code() == Code::Buffer => buffer.resize(needed as usize, zero),
            Err(error) => return Err(error),
        }
    }
}

/// The same for text that the library promises to be UTF-8.
pub(crate) fn text_output(
    guess: usize,
    f: impl FnMut(*mut u8, u64, *mut u64, *mut *mut sys::reattn_error) -> i32,
) -> Result<String> {
    let bytes = output(guess, 0, f)?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// A struct of the library with its size stated and all else zero.
pub(crate) fn sized<T: Default>(set: impl FnOnce(&mut T, u32)) -> T {
    let mut value = T::default();
    set(&mut value, std::mem::size_of::<T>() as u32);
    value
}

/// Fills a struct that states its size: `info!(reattn_model_info, reattn_model_get_info(handle))`.
macro_rules! info {
    ($kind:ident, $function:ident($($argument:expr),*)) => {{
        let mut out = $crate::raw::sized(|out: &mut reattn_sys::$kind, size| out.struct_size = size);
        // SAFETY: `out` states its size.
        $crate::raw::call(|err| unsafe { reattn_sys::$function($($argument,)* &mut out, err) }).map(|_| out)
    }};
}
pub(crate) use info;

/// Milliseconds as the library takes them: rounded up, so that a short wait is no poll.
pub(crate) fn milliseconds(timeout: Duration) -> i64 {
    i64::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

/// A path as the system takes it.
#[cfg(unix)]
pub(crate) fn path_bytes(path: &std::path::Path) -> &[u8] {
    std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())
}

/// A path as the system takes it.
#[cfg(not(unix))]
pub(crate) fn path_bytes(path: &std::path::Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// An enumeration of the C interface, open for what later versions add.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $constant:ident,)* }) => {
        $(#[$doc])*
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A number that this version of the crate has no name for.
            Other(i32),
        }

        impl $name {
            #[allow(dead_code)]
            pub(crate) fn number(self) -> i32 {
                match self {
                    $($name::$variant => reattn_sys::$constant as i32,)*
                    $name::Other(number) => number,
                }
            }

            #[allow(dead_code)]
            pub(crate) fn from_number(number: i32) -> Self {
                match number {
                    $(_ if number == reattn_sys::$constant as i32 => $name::$variant,)*
                    _ => $name::Other(number),
                }
            }
        }
    };
}
pub(crate) use numbered;
