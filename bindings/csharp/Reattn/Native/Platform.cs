using System;
using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Text;

namespace Reattn.Native
{
    /// <summary>How this system names and opens a shared library.</summary>
    internal static class Platform
    {
        private static readonly bool Windows = RuntimeInformation.IsOSPlatform(OSPlatform.Windows);
        private static readonly bool MacOS = RuntimeInformation.IsOSPlatform(OSPlatform.OSX);

        /// <summary>File names, best first: with the ABI in it, then without.</summary>
        internal static readonly string[] Names =
            Windows ? new[] { "reattn.dll" }
            : MacOS ? new[] { "libreattn." + C.REATTN_ABI_VERSION + ".dylib", "libreattn.dylib" }
            : new[] { "libreattn.so." + C.REATTN_ABI_VERSION, "libreattn.so" };

        /// <summary>As in NuGet's runtimes folder, such as "linux-x64".</summary>
        internal static readonly string Rid = (Windows ? "win-" : MacOS ? "osx-" : "linux-")
            + RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant();

        /// <summary>Zero and the problem where it cannot be opened.</summary>
        internal static IntPtr Open(string file, out string problem)
        {
            problem = null;
#if NET
            try
            {
                // A bare name is looked for as the runtime does for P/Invoke: in packages, then in the system.
                return System.IO.Path.IsPathRooted(file)
                    ? System.Runtime.InteropServices.NativeLibrary.Load(file)
                    : System.Runtime.InteropServices.NativeLibrary.Load(file, typeof(Platform).Assembly, null);
            }
            catch (Exception failure) when (failure is DllNotFoundException || failure is BadImageFormatException)
            {
                problem = failure.Message;
                return IntPtr.Zero;
            }
#else
            IntPtr library;
            if (Windows)
            {
                library = LoadLibrary(file);
                if (library == IntPtr.Zero) problem = new Win32Exception(Marshal.GetLastWin32Error()).Message;
                return library;
            }
            library = MacOS ? MacOpen(Path(file), Now) : LinuxOpen(Path(file), Now);
            if (library == IntPtr.Zero)
            {
                problem = Marshal.PtrToStringAnsi(MacOS ? MacError() : LinuxError()) ?? "it cannot be opened";
            }
            return library;
#endif
        }

        /// <summary>Zero where the library has no such function.</summary>
        internal static IntPtr Symbol(IntPtr library, string name)
        {
#if NET
            IntPtr address;
            return System.Runtime.InteropServices.NativeLibrary.TryGetExport(library, name, out address)
                ? address : IntPtr.Zero;
#else
            if (Windows) return GetProcAddress(library, name);
            return MacOS ? MacSymbol(library, Path(name)) : LinuxSymbol(library, Path(name));
#endif
        }

#if !NET
        private const int Now = 2; // RTLD_NOW, on both

        private static byte[] Path(string file)
        {
            return Encoding.UTF8.GetBytes(file + "\0");
        }

        [DllImport("kernel32", EntryPoint = "LoadLibraryW", CharSet = CharSet.Unicode, SetLastError = true)]
        private static extern IntPtr LoadLibrary(string file);

        [DllImport("kernel32", CharSet = CharSet.Ansi, ExactSpelling = true, BestFitMapping = false)]
        private static extern IntPtr GetProcAddress(IntPtr library, string name);

        [DllImport("libdl.so.2", EntryPoint = "dlopen")]
        private static extern IntPtr LinuxOpen(byte[] file, int flags);

        [DllImport("libdl.so.2", EntryPoint = "dlsym")]
        private static extern IntPtr LinuxSymbol(IntPtr library, byte[] name);

        [DllImport("libdl.so.2", EntryPoint = "dlerror")]
        private static extern IntPtr LinuxError();

        [DllImport("libSystem.dylib", EntryPoint = "dlopen")]
        private static extern IntPtr MacOpen(byte[] file, int flags);

        [DllImport("libSystem.dylib", EntryPoint = "dlsym")]
        private static extern IntPtr MacSymbol(IntPtr library, byte[] name);

        [DllImport("libSystem.dylib", EntryPoint = "dlerror")]
        private static extern IntPtr MacError();
#endif
    }
}
