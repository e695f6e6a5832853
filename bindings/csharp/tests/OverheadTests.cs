using System;
using System.Diagnostics;
using System.Globalization;
using System.Linq;
using NUnit.Framework;

namespace Reattn.Tests
{
    /// <summary>What a token costs more than in C: both measured in turns, on a model whose tokens cost little.</summary>
    [TestFixture, Category("measured")]
    public class OverheadTests
    {
        private const int Rounds = 8;
        private const int Generations = 24;
        private const int Tokens = 400;
        private const double LimitUs = 10;

        [Test]
        public void AToken()
        {
            var shape = new Geometry
            {
                NLayers = 1, NEmbd = 32, NHeads = 1, NKvHeads = 1, HeadDim = 32, NFf = 32, NVocab = 64, NWindow = 512,
                RopeFreqBase = 10000, Seed = 1
            };
            using (Model model = Model.Synthesize(shape, Tiny.Options))
            {
                double c = double.MaxValue, events = double.MaxValue, tokens = double.MaxValue, tasks = double.MaxValue;
                for (int round = 0; round < Rounds; round++)
                {
                    c = Math.Min(c, InC());
                    for (int i = 0; i < Generations; i++)
                    {
                        events = Math.Min(events, PerToken(model, Events));
                        tokens = Math.Min(tokens, PerToken(model, ForEach));
                        tasks = Math.Min(tasks, PerToken(model, Async));
                    }
                }
                Console.WriteLine("a token: {0:0.00} us in C; C# adds {1:0.00} us by event, {2:0.00} us by foreach, "
                    + "{3:0.00} us by task", c, events - c, tokens - c, tasks - c);
                Assert.That(Math.Max(events, tokens) - c, Is.LessThanOrEqualTo(LimitUs), "us more than in C");
            }
        }

        /// <summary>The best of the program that does the same in C.</summary>
        private static double InC()
        {
            var start = new ProcessStartInfo(Tiny.Setting("REATTN_TOKEN_LOOP"), Generations + " " + Tokens)
            {
                UseShellExecute = false, RedirectStandardOutput = true
            };
            using (Process process = Process.Start(start))
            {
                string all = process.StandardOutput.ReadToEnd();
                process.WaitForExit();
                Assert.That(process.ExitCode, Is.EqualTo(0));
                return all.Split(new[] { '\n' }, StringSplitOptions.RemoveEmptyEntries)
                    .Min(each => double.Parse(each, CultureInfo.InvariantCulture));
            }
        }

        /// <summary>Microseconds, of the tokens after the first, so that reading is not counted.</summary>
        private static double PerToken(Model model, Action<Generation, Action> pull)
        {
            using (Session session = model.CreateSession())
            {
                session.Append(new[] { 1, 2, 3 });
                using (Generation generation = session.Generate(Tiny.Tokens(Tokens)))
                {
                    long first = 0, last = 0;
                    pull(generation, () =>
                    {
                        last = Stopwatch.GetTimestamp();
                        if (first == 0) first = last;
                    });
                    return (last - first) * 1e6 / Stopwatch.Frequency / (Tokens - 1);
                }
            }
        }

        private static void Events(Generation generation, Action onToken)
        {
            GenerationEvent next;
            while ((next = generation.NextEvent()) != null)
            {
                if (next is Token) onToken();
            }
        }

        private static void ForEach(Generation generation, Action onToken)
        {
            foreach (Token token in generation)
            {
                if (token.Id != Token.NoId) onToken();
            }
        }

        private static void Async(Generation generation, Action onToken)
        {
            TokenStream tokens = generation.TokensAsync();
            while (tokens.MoveNextAsync().Result)
            {
                if (tokens.Current.Id != Token.NoId) onToken();
            }
        }
    }
}
