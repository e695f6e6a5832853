using System;
using System.Runtime.InteropServices;

namespace Reattn.Native
{
    /// <summary>
    /// Owns one native object, which is freed once: by Dispose, or by the finalizer after the owner was forgotten. The library
    /// itself knows freed handles from live ones and what depends on what, so that freeing needs no order and waits for no call.
    /// </summary>
    internal abstract class Handle : SafeHandle
    {
        protected Handle(IntPtr owned) : base(IntPtr.Zero, true)
        {
            SetHandle(owned);
        }

        public override bool IsInvalid
        {
            get { return handle == IntPtr.Zero; }
        }
    }

    internal sealed class ModelHandle : Handle
    {
        internal ModelHandle(IntPtr owned) : base(owned) { }

        protected override bool ReleaseHandle()
        {
            Library.Api.reattn_model_free(handle);
            return true;
        }
    }

    internal sealed class SessionHandle : Handle
    {
        internal SessionHandle(IntPtr owned) : base(owned) { }

        protected override bool ReleaseHandle()
        {
            Library.Api.reattn_session_free(handle);
            return true;
        }
    }

    internal sealed class CacheHandle : Handle
    {
        internal CacheHandle(IntPtr owned) : base(owned) { }

        protected override bool ReleaseHandle()
        {
            Library.Api.reattn_cache_free(handle);
            return true;
        }
    }

    internal sealed class RequestHandle : Handle
    {
        internal RequestHandle(IntPtr owned) : base(owned) { }

        protected override bool ReleaseHandle()
        {
            Library.Api.reattn_request_free(handle);
            return true;
        }
    }

    internal sealed class QueueHandle : Handle
    {
        internal QueueHandle(IntPtr owned) : base(owned) { }

        protected override bool ReleaseHandle()
        {
            Library.Api.reattn_queue_free(handle);
            return true;
        }
    }
}
