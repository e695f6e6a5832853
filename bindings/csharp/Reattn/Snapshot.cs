using System;
using System.Threading.Tasks;
using Reattn.Native;

namespace Reattn
{
    /// <summary>
    /// A session's tokens, cache and settings as they were: a document once read. Immutable; any number of threads may use it at
    /// once. <see cref="Model.CreateSession"/> goes on from it, <see cref="Model.OpenSnapshot"/> reads a saved one.
    /// </summary>
    public sealed unsafe class Snapshot : ReattnObject
    {
        internal Snapshot(IntPtr handle) : base(new CacheHandle(handle)) { }

        /// <summary>Writes it to a file, which appears whole or, after an error, not at all (an older file of that name then
        /// stays).</summary>
        public void Save(string path)
        {
            byte[] bytes = Call.Utf8(path, "path");
            IntPtr err = IntPtr.Zero;
            fixed (byte* p = bytes)
            {
                Check(Library.Api.reattn_cache_save(Native, p, (ulong)bytes.Length, &err), err);
            }
        }

        /// <summary>The same, on another thread.</summary>
        public Task SaveAsync(string path)
        {
            return Background.Run(() => { Save(path); return true; });
        }

        /// <summary>What it holds.</summary>
        public SnapshotInfo Info()
        {
            var info = new SnapshotInfo();
            IntPtr err = IntPtr.Zero;
            fixed (reattn_cache_info* raw = &info.Raw)
            {
                Check(Library.Api.reattn_cache_get_info(Native, raw, &err), err);
            }
            return info;
        }
    }
}
