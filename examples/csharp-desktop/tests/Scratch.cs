// What the tests share.
using System;
using System.IO;
using System.Text;

namespace Reattn.Desktop.Tests
{
    /// <summary>A folder that is gone afterwards.</summary>
    internal sealed class Scratch : IDisposable
    {
        private readonly string path = Path.Combine(Path.GetTempPath(), "reattn-desktop-" + Guid.NewGuid().ToString("N"));

        public Scratch()
        {
            Directory.CreateDirectory(path);
        }

        public string Missing
        {
            get { return Path.Combine(path, "no-such-file.txt"); }
        }

        public string Write(string name, byte[] content)
        {
            string file = Path.Combine(path, name);
            File.WriteAllBytes(file, content);
            return file;
        }

        public string Write(string name, string content)
        {
            return Write(name, new UTF8Encoding(false).GetBytes(content));
        }

        public void Dispose()
        {
            Directory.Delete(path, true);
        }
    }

    /// <summary>The tiny model: what it says means nothing. Each byte is a token, and its window has 512.</summary>
    internal static class Tiny
    {
        public static string Path
        {
            get { return Setting("REATTN_TINY_MODEL"); }
        }

        public static Options Options(params string[] more)
        {
            string all = "--device cpu --threads 1 --n-local 64 --chunk 32 --span 8 --n-anchors 8 --max-tokens 24";
            return Desktop.Options.Parse((all + " " + string.Join(" ", more)).Trim().Split(' '));
        }

        public static string Setting(string variable)
        {
            string value = Environment.GetEnvironmentVariable(variable);
            if (string.IsNullOrEmpty(value)) throw new InvalidOperationException("the environment has no " + variable);
            return value;
        }

        /// <summary>A text of several scripts, longer than the window.</summary>
        public static string Story(int lines)
        {
            var story = new StringBuilder();
            for (int i = 0; i < lines; i++)
            {
                story.Append("On day " + i + " the ship 🐟 came with salt — 日本の船, and left with tar.\n");
            }
            return story.ToString();
        }
    }
}
