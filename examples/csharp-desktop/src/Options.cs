// The command line.
using System;
using System.Collections.Generic;
using System.Globalization;

namespace Reattn.Desktop
{
    /// <summary>A command line that makes no sense, in words.</summary>
    public sealed class UsageException : Exception
    {
        public UsageException(string message) : base(message) {}
    }

    /// <summary>What the program is started with. What is out of range is refused where it is used, by the library.</summary>
    public sealed class Options
    {
        public const string Usage = @"reattn-desktop [OPTIONS] [MODEL.gguf [BOOK.txt]]
  --raw            texts as they are, without the model's chat template: the model goes on with
                   your words, to the end of the line
  --device D       auto, cpu or cuda
  --threads N      CPU threads; 0: as many as the process may use
  --max-tokens N   of an answer; 256
  --n-local N, --n-anchors N, --span N, --chunk N, --vote-stride N
                   settings of the method; else the published ones for the model's window
The library is found as REATTN_LIBRARY says, else beside the program or in the system's folders.";

        private int? nLocal;
        private int? nAnchors;
        private int? span;
        private int? chunk;
        private int? voteStride;
        private int maxTokens = 256;

        public string Model { get; private set; }
        public string Book { get; private set; }
        public bool Help { get; private set; }
        public bool Raw { get; private set; }
        public Device Device { get; private set; } = Device.Auto;
        public int Threads { get; private set; }

        /// <exception cref="UsageException">It is not understood.</exception>
        public static Options Parse(IEnumerable<string> arguments)
        {
            var options = new Options();
            using (IEnumerator<string> rest = arguments.GetEnumerator())
            {
                while (rest.MoveNext()) options.Take(rest.Current, rest);
            }
            return options;
        }

        private void Take(string argument, IEnumerator<string> rest)
        {
            switch (argument)
            {
                case "-h":
                case "--help": Help = true; break;
                case "--raw": Raw = true; break;
                case "--device": Device = ADevice(Value(argument, rest)); break;
                case "--threads": Threads = Number(argument, rest); break;
                case "--max-tokens": maxTokens = Number(argument, rest); break;
                case "--n-local": nLocal = Number(argument, rest); break;
                case "--n-anchors": nAnchors = Number(argument, rest); break;
                case "--span": span = Number(argument, rest); break;
                case "--chunk": chunk = Number(argument, rest); break;
                case "--vote-stride": voteStride = Number(argument, rest); break;
                default:
                    if (argument.StartsWith("-", StringComparison.Ordinal))
                        throw new UsageException("unknown option " + argument);
                    if (Model == null)
                        Model = argument;
                    else if (Book == null)
                        Book = argument;
                    else
                        throw new UsageException(argument + ": there is a model and a book already");
                    break;
            }
        }

        private static string Value(string option, IEnumerator<string> rest)
        {
            if (!rest.MoveNext()) throw new UsageException(option + " needs a value");
            return rest.Current;
        }

        private static int Number(string option, IEnumerator<string> rest)
        {
            string value = Value(option, rest);
            int number;
            if (!int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out number))
            {
                throw new UsageException(option + " " + value + ": a number is needed");
            }
            return number;
        }

        private static Device ADevice(string name)
        {
            switch (name)
            {
                case "auto": return Device.Auto;
                case "cpu": return Device.Cpu;
                case "cuda": return Device.Cuda;
                default: throw new UsageException("--device " + name + ": auto, cpu or cuda");
            }
        }

        /// <summary>How books are read by this model.</summary>
        public SessionOptions Settings(Model model)
        {
            var settings = new SessionOptions(model);
            if (nLocal.HasValue) settings.NLocal = nLocal.Value;
            if (nAnchors.HasValue) settings.NAnchors = nAnchors.Value;
            if (span.HasValue) settings.Span = span.Value;
            if (chunk.HasValue) settings.Chunk = chunk.Value;
            if (voteStride.HasValue) settings.VoteStride = voteStride.Value;
            return settings;
        }

        /// <summary>How answers are made.</summary>
        public GenerationOptions Generating()
        {
            var generating = new GenerationOptions { MaxTokens = maxTokens };
            if (Raw) generating.Stops.Add("\n");
            return generating;
        }
    }
}
