using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Reattn.Native;

namespace Reattn
{
    /// <summary>A device that models can be opened on.</summary>
    public sealed unsafe class DeviceInfo
    {
        internal DeviceInfo(reattn_device_info* raw)
        {
            Kind = (Device)raw->kind;
            Index = raw->index;
            Name = Call.Field(raw->name, reattn_device_info.name_size);
            Instructions = Call.Field(raw->instructions, reattn_device_info.instructions_size);
            MemoryTotal = raw->memory_total;
            MemoryFree = raw->memory_free;
            NThreads = raw->n_threads;
        }

        /// <summary><see cref="Device.Cpu"/> or <see cref="Device.Cuda"/>.</summary>
        public Device Kind { get; private set; }

        /// <summary>Its own number, from 0.</summary>
        public int Index { get; private set; }

        /// <summary>As the machine calls itself.</summary>
        public string Name { get; private set; }

        /// <summary>What the kernels use, such as "AVX2".</summary>
        public string Instructions { get; private set; }

        /// <summary>Bytes.</summary>
        public ulong MemoryTotal { get; private set; }

        /// <summary>Bytes that could be allocated now.</summary>
        public ulong MemoryFree { get; private set; }

        /// <summary>What NThreads 0 means for a model; 0 for CUDA.</summary>
        public int NThreads { get; private set; }
    }

    /// <summary>A message about what the library decided on its own.</summary>
    public sealed class LogMessage
    {
        internal LogMessage(ulong sequence, string text)
        {
            Sequence = sequence;
            Text = text;
        }

        /// <summary>1, 2, 3, ... in this process; a gap: that many were overwritten unread.</summary>
        public ulong Sequence { get; private set; }

        /// <summary>One line.</summary>
        public string Text { get; private set; }
    }

    /// <summary>The native library: where it is, its version, its devices and its messages. Any thread.</summary>
    public static unsafe class ReattnLibrary
    {
        /// <summary>
        /// Opens the library at a path: the file, or a folder that holds it. Without this call it is looked for, when it is first
        /// needed, where the environment variable REATTN_LIBRARY says; beside the assembly and the program; in
        /// runtimes/RID/native there; and where the system looks. It stays open for as long as the process.
        /// </summary>
        /// <exception cref="DllNotFoundException">It is not there, or another one is in use.</exception>
        public static void Load(string path)
        {
            if (path == null) throw new ArgumentNullException("path");
            Library.Open(path);
        }

        /// <summary>What was opened: a file, or a name that the system resolved.</summary>
        public static string Path
        {
            get
            {
                Library.Open(null);
                return Library.Path;
            }
        }

        /// <summary>"major.minor.patch" of the native library.</summary>
        public static string Version
        {
            get { return Call.String(Library.Api.reattn_version()); }
        }

        /// <summary>The ABI of the native library: the number in its soname.</summary>
        public static int AbiVersion
        {
            get { return Library.Api.reattn_abi_version(); }
        }

        /// <summary>The devices that models can be opened on: the CPU, then the CUDA devices.</summary>
        public static IList<DeviceInfo> Devices()
        {
            int count;
            IntPtr err = IntPtr.Zero;
            Call.Check(Library.Api.reattn_device_count(&count, &err), err);
            var devices = new List<DeviceInfo>();
            for (int i = 0; i < count; i++)
            {
                var raw = new reattn_device_info { struct_size = (uint)sizeof(reattn_device_info) };
                Call.Check(Library.Api.reattn_device_get_info(i, &raw, &err), err);
                devices.Add(new DeviceInfo(&raw));
            }
            return devices.AsReadOnly();
        }

        /// <summary>Opens the CUDA plug-in, which must be of the same build as the native library. Without this call, the one beside
        /// the native library is opened when a device is first asked for.</summary>
        public static void LoadBackend(string path)
        {
            byte[] bytes = Call.Utf8(path, "path");
            IntPtr err = IntPtr.Zero;
            fixed (byte* p = bytes)
            {
                Call.Check(Library.Api.reattn_backend_load(p, (ulong)bytes.Length, &err), err);
            }
        }

        /// <summary>What models can be opened on, and why not on the rest, in lines for people to read.</summary>
        public static string Diagnose()
        {
            return Call.String(Call.Output<byte>(null, 1024, (room, cap, needed, err) =>
                Library.Api.reattn_backend_diagnose((byte*)room, cap, needed, err)));
        }

        /// <summary>
        /// Takes the oldest unread message about what the library decided on its own, such as which device Auto chose; null when
        /// there is none. The library keeps the last 256 and hands each out once.
        /// </summary>
        public static LogMessage NextLog()
        {
            bool end = false;
            ulong sequence = 0;
            byte[] text = Call.Output<byte>(null, 1024, (room, cap, needed, err) =>
            {
                var raw = new reattn_log_event { struct_size = (uint)sizeof(reattn_log_event) };
                int status = Library.Api.reattn_log_next(&raw, (byte*)room, cap, needed, err);
                end = status == C.REATTN_END;
                if (end) *needed = 0;
                sequence = raw.sequence;
                return status;
            });
            return end ? null : new LogMessage(sequence, Call.String(text));
        }
    }
}
