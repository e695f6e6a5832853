using System;
using System.IO;

namespace Reattn.Tests
{
    /// <summary>The tiny model, and what most tests do with it.</summary>
    internal static class Tiny
    {
        internal const string Document = "The north door opens with 4711, the south door with 1234. Tea and oranges came by the harbour, "
            + "and the letters of the widow lie in the third drawer. Nobody has asked for them since the storm. ";

        internal const long Endless = 100000000;

        internal static string Path
        {
            get { return Setting("REATTN_TINY_MODEL"); }
        }

        internal static string Setting(string variable)
        {
            string value = Environment.GetEnvironmentVariable(variable);
            if (string.IsNullOrEmpty(value)) throw new InvalidOperationException("the environment has no " + variable);
            return value;
        }

        internal static ModelOptions Options
        {
            get { return new ModelOptions { Device = Device.Cpu, NThreads = 1 }; }
        }

        internal static Model Open()
        {
            return Model.Open(Path, Options);
        }

        internal static SessionOptions Settings(Model model)
        {
            return new SessionOptions(model)
            {
                NGlobal = 8, NLocal = 64, TopK = 2, Span = 4, NAnchors = 8, Chunk = 32, KvDtype = KvDtype.F32
            };
        }

        internal static Session Session(Model model)
        {
            return model.CreateSession(Settings(model));
        }

        internal static GenerationOptions Tokens(long n)
        {
            return new GenerationOptions { IgnoreEnd = true, MaxTokens = n };
        }

        internal static string Repeat(string text, int times)
        {
            return new System.Text.StringBuilder().Insert(0, text, times).ToString();
        }
    }

    /// <summary>Tells in the thread that reports; System.Progress tells in another.</summary>
    internal sealed class Told<T> : IProgress<T>
    {
        private readonly Action<T> listener;

        internal Told(Action<T> listener)
        {
            this.listener = listener;
        }

        public void Report(T value)
        {
            listener(value);
        }
    }

    /// <summary>A folder that is gone afterwards.</summary>
    internal sealed class Scratch : IDisposable
    {
        internal readonly string Path = System.IO.Path.Combine(System.IO.Path.GetTempPath(), "reattn-" + Guid.NewGuid().ToString("N"));

        internal Scratch()
        {
            Directory.CreateDirectory(Path);
        }

        internal string File(string name)
        {
            return System.IO.Path.Combine(Path, name);
        }

        public void Dispose()
        {
            Directory.Delete(Path, true);
        }
    }
}
