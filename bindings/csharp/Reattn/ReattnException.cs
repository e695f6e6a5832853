using System;
using Reattn.Native;

namespace Reattn
{
    /// <summary>What kind of failure a <see cref="ReattnException"/> reports: the REATTN_E_ constants of the C API.</summary>
    public enum ErrorCode
    {
        /// <summary>An argument is out of its range.</summary>
        Arg = C.REATTN_E_ARG,
        /// <summary>An object was freed; the binding reports it as <see cref="ObjectDisposedException"/>.</summary>
        Handle = C.REATTN_E_HANDLE,
        /// <summary>Another call, a live generation or the loading uses the object.</summary>
        Busy = C.REATTN_E_BUSY,
        /// <summary>Cancelled by the caller; of a cancellation token the binding reports it as
        /// <see cref="OperationCanceledException"/>.</summary>
        Cancelled = C.REATTN_E_CANCELLED,
        /// <summary>No such device, or it cannot be used; the message says why.</summary>
        NoDevice = C.REATTN_E_NO_DEVICE,
        /// <summary>The device failed for good.</summary>
        DeviceLost = C.REATTN_E_DEVICE_LOST,
        /// <summary>Host memory cannot hold it.</summary>
        OomHost = C.REATTN_E_OOM_HOST,
        /// <summary>Device memory cannot hold it.</summary>
        OomDevice = C.REATTN_E_OOM_DEVICE,
        /// <summary>A file's content is not what its format says.</summary>
        Format = C.REATTN_E_FORMAT,
        /// <summary>A snapshot of another model, tokenizer or layout.</summary>
        Mismatch = C.REATTN_E_MISMATCH,
        /// <summary>A buffer is too small; the binding makes larger ones by itself.</summary>
        Buffer = C.REATTN_E_BUFFER,
        /// <summary>Valid, but this build cannot do it.</summary>
        Unsupported = C.REATTN_E_UNSUPPORTED,
        /// <summary>A fault of the library.</summary>
        Internal = C.REATTN_E_INTERNAL,
        /// <summary>The operating system refused to read or write.</summary>
        IO = C.REATTN_E_IO
    }

    /// <summary>A failure of the native library: its code, and its sentence as the message.</summary>
    public sealed class ReattnException : Exception
    {
        internal ReattnException(ErrorCode code, string message) : base(message)
        {
            Code = code;
        }

        /// <summary>What kind of failure it is.</summary>
        public ErrorCode Code { get; private set; }
    }
}
