using System;
using Reattn.Native;

namespace Reattn
{
    /// <summary>
    /// Something of the native library. Disposing frees it; what was forgotten is freed after it was collected. That may happen in
    /// any order and on any thread, also during a call: what an object needs of another lives as long as it does. Every use of a
    /// disposed object throws <see cref="ObjectDisposedException"/>.
    /// </summary>
    public abstract class ReattnObject : IDisposable
    {
        private readonly Handle handle;

        internal ReattnObject(Handle handle)
        {
            this.handle = handle;
        }

        /// <summary>Whether it was disposed.</summary>
        public bool IsDisposed
        {
            get { return handle.IsClosed; }
        }

        /// <summary>For a call, whose status goes to Check, which also keeps this object alive until then.</summary>
        internal IntPtr Native
        {
            get
            {
                if (handle.IsClosed) throw new ObjectDisposedException(GetType().Name);
                return handle.DangerousGetHandle();
            }
        }

        /// <summary>The status of a call with Native, when it is no error; else throws.</summary>
        internal int Check(int status, IntPtr err)
        {
            if (status < 0)
            {
                ReattnException failure = Call.Failure(status, err);
                // Disposed by another thread between the look at the handle and the call.
                if (failure.Code == ErrorCode.Handle && IsDisposed) throw new ObjectDisposedException(GetType().Name);
                throw failure;
            }
            GC.KeepAlive(this);
            return status;
        }

        /// <summary>The same of a call with another object too; null: with none.</summary>
        internal int Check(int status, IntPtr err, ReattnObject other)
        {
            if (status == C.REATTN_E_HANDLE && other != null && other.IsDisposed) other.Check(status, err);
            Check(status, err);
            GC.KeepAlive(other);
            return status;
        }

        /// <summary>Frees the native object. Another call does nothing.</summary>
        public void Dispose()
        {
            handle.Dispose();
            Disposed();
            GC.KeepAlive(this);
        }

        internal virtual void Disposed() { }
    }
}
