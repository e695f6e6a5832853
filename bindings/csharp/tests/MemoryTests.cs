using System;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using NUnit.Framework;

namespace Reattn.Tests
{
    /// <summary>Thousands of objects leave the memory of the process as it was.</summary>
    [TestFixture, Category("measured"), Platform("Linux")]
    public class MemoryTests
    {
        private const double LimitKiB = 4096;

        private static double ResidentKiB()
        {
            for (int i = 0; i < 3; i++)
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
            string line = File.ReadLines("/proc/self/status").First(each => each.StartsWith("VmRSS:"));
            return double.Parse(Regex.Match(line, @"\d+").Value);
        }

        /// <summary>Runs work often enough to have every cache filled, then n times.</summary>
        private static void Flat(string what, int n, Action work)
        {
            for (int i = 0; i < n / 4; i++) work();
            double before = ResidentKiB();
            for (int i = 0; i < n; i++) work();
            double grown = ResidentKiB() - before;
            Console.WriteLine("{0:N0} {1}: {2:+0;-0} KiB of {3:0}", n, what, grown, before);
            Assert.That(grown, Is.LessThan(LimitKiB), what);
        }

        [Test]
        public void OpeningAndDisposing()
        {
            var options = Tiny.Options;
            Flat("models opened and disposed", 10000, () =>
            {
                using (Model model = Model.Open(Tiny.Path, options))
                using (Session session = model.CreateSession()) session.Append("Tea");
            });
        }

        [Test]
        public void Generating()
        {
            using (Model model = Tiny.Open())
            using (Session document = Tiny.Session(model))
            {
                document.Append(Tiny.Document);
                document.Read();
                Flat("answers", 1000, () =>
                {
                    using (Session fork = document.Fork())
                    {
                        fork.Append("\nWhich door? ");
                        using (Generation generation = fork.Generate(Tiny.Tokens(30)))
                        {
                            generation.Answer();
                            generation.Recalled();
                        }
                    }
                });
                int n = 0;
                // Nothing is disposed; the collector, which does not see native memory, is called by hand.
                Flat("answers that are forgotten", 1000, () =>
                {
                    Session fork = document.Fork();
                    fork.Append("\nWhich door? ");
                    fork.Generate(Tiny.Tokens(3)).Answer();
                    if (++n % 20 == 0) GC.Collect();
                });
            }
        }

        /// <summary>Failures make objects too.</summary>
        [Test]
        public void Failing()
        {
            using (Model model = Tiny.Open())
            {
                Flat("failures", 50000, () =>
                {
                    try
                    {
                        model.Detokenize(-1);
                    }
                    catch (ReattnException)
                    {
                        return;
                    }
                    throw new AssertionException("no failure");
                });
            }
        }
    }
}
