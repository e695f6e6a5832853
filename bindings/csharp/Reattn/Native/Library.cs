using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;

namespace Reattn.Native
{
    /// <summary>Finds the library, once, and holds its functions.</summary>
    internal static class Library
    {
        internal const string Variable = "REATTN_LIBRARY";

        private static readonly object Lock = new object();
        private static volatile Api api;
        private static string path;

        /// <summary>The functions; the first use looks for the library.</summary>
        internal static Api Api
        {
            get { return api ?? Open(null); }
        }

        /// <summary>What was opened: a file, or a name that the system resolved; null before.</summary>
        internal static string Path
        {
            get { lock (Lock) return path; }
        }

        /// <param name="wanted">A file or a folder; null: look for it.</param>
        internal static Api Open(string wanted)
        {
            lock (Lock)
            {
                if (api != null)
                {
                    if (wanted == null || wanted == path || Candidates(wanted).Contains(path)) return api;
                    throw new DllNotFoundException(wanted + ": another reattn library is in use, " + path);
                }
                var tried = new List<string>();
                foreach (var place in wanted != null ? Named(wanted, "the path that was given") : Places(tried))
                {
                    if (TryOpen(place.Key, place.Value, tried)) return api;
                }
                throw new DllNotFoundException("the reattn library was not found or could not be loaded; looked at:\n  "
                    + string.Join("\n  ", tried));
            }
        }

        // ---- Where it may be: pairs of a file, or a name, and why it is looked at -------------------------

        private static IEnumerable<KeyValuePair<string, string>> Places(List<string> tried)
        {
            string variable = Environment.GetEnvironmentVariable(Variable);
            // Who names a library means that one: another in its place would be a surprise.
            if (!string.IsNullOrEmpty(variable)) return Named(variable, "the environment variable " + Variable);
            tried.Add("the environment variable " + Variable + ": not set");
            var places = new List<KeyValuePair<string, string>>();
            foreach (string folder in Folders())
            {
                foreach (string name in Platform.Names) places.Add(Place(folder, name, "beside the assembly"));
                string natives = System.IO.Path.Combine(folder, "runtimes", Platform.Rid, "native");
                foreach (string name in Platform.Names) places.Add(Place(natives, name, "bundled natives"));
            }
            foreach (string name in Platform.Names)
            {
                places.Add(new KeyValuePair<string, string>(name, "the system's folders"));
            }
            return places;
        }

        private static IEnumerable<KeyValuePair<string, string>> Named(string wanted, string why)
        {
            foreach (string file in Candidates(wanted)) yield return new KeyValuePair<string, string>(file, why);
        }

        private static List<string> Candidates(string wanted)
        {
            string full = System.IO.Path.GetFullPath(wanted);
            if (!Directory.Exists(full)) return new List<string> { full };
            var files = new List<string>();
            foreach (string name in Platform.Names) files.Add(System.IO.Path.Combine(full, name));
            return files;
        }

        private static KeyValuePair<string, string> Place(string folder, string name, string why)
        {
            return new KeyValuePair<string, string>(System.IO.Path.Combine(folder, name), why);
        }

        /// <summary>The assembly's folder and the program's.</summary>
        private static IEnumerable<string> Folders()
        {
            var folders = new List<string>();
            string assembly = typeof(Library).Assembly.Location; // empty in a single-file program
            if (!string.IsNullOrEmpty(assembly)) folders.Add(System.IO.Path.GetDirectoryName(assembly));
            string program = AppDomain.CurrentDomain.BaseDirectory;
            if (!string.IsNullOrEmpty(program))
            {
                program = program.TrimEnd(System.IO.Path.DirectorySeparatorChar);
                if (!folders.Contains(program)) folders.Add(program);
            }
            return folders;
        }

        private static bool TryOpen(string file, string why, List<string> tried)
        {
            if (System.IO.Path.IsPathRooted(file) && !File.Exists(file))
            {
                tried.Add(file + " (" + why + "): no such file");
                return false;
            }
            string problem;
            IntPtr library = Platform.Open(file, out problem);
            if (library == IntPtr.Zero)
            {
                tried.Add(file + " (" + why + "): " + problem);
                return false;
            }
            try
            {
                // It stays open for as long as the process: nothing closes it while handles may be live.
                int abi = AbiOf(library);
                if (abi != C.REATTN_ABI_VERSION)
                {
                    tried.Add(file + " (" + why + "): has ABI " + abi + ", not " + C.REATTN_ABI_VERSION);
                    return false;
                }
                api = new Api(name => Find(library, name));
                path = file;
                return true;
            }
            catch (EntryPointNotFoundException missing)
            {
                tried.Add(file + " (" + why + "): " + missing.Message);
                return false;
            }
        }

        /// <summary>Before anything else, which another ABI may not have.</summary>
        private static int AbiOf(IntPtr library)
        {
            Type type = typeof(Api.reattn_abi_version_fn);
            return ((Api.reattn_abi_version_fn)Marshal.GetDelegateForFunctionPointer(Find(library, "reattn_abi_version"), type))();
        }

        private static IntPtr Find(IntPtr library, string name)
        {
            IntPtr address = Platform.Symbol(library, name);
            if (address == IntPtr.Zero) throw new EntryPointNotFoundException("it has no function " + name);
            return address;
        }
    }
}
