using System;
using System.IO;
using System.Linq;
using System.Text;
using NUnit.Framework;

namespace Reattn.Tests
{
    /// <summary>Text is exact, in both directions, in contents, messages and paths.</summary>
    [TestFixture]
    public class TextTests
    {
        private const string Odd = "naïve 😀 日本語 \0 zero <|im_end|> 👨‍👩‍👧 \uFFFD \uFEFF é\r\n";

        private Model model;

        [SetUp]
        public void Open()
        {
            model = Tiny.Open();
        }

        [TearDown]
        public void Close()
        {
            model.Dispose();
        }

        [Test]
        public void ThereAndBack()
        {
            Assert.That(model.Detokenize(model.Tokenize(Odd)), Is.EqualTo(Odd));
            Assert.That(model.Tokenize(Encoding.UTF8.GetBytes(Odd)), Is.EqualTo(model.Tokenize(Odd)));
            using (Session session = Tiny.Session(model))
            {
                session.Append(Odd);
                session.Read();
                Assert.That(session.Text(0, session.Info().NTokens), Is.EqualTo(Odd));
            }
        }

        /// <summary>No UTF-8 stands for half a surrogate pair; something in its place would be another text.</summary>
        [Test]
        public void HalfAPairIsRefused()
        {
            string half = "ab😀".Substring(0, 3) + "c";
            Assert.That(Assert.Throws<ArgumentException>(() => model.Tokenize(half)).Message, Is.StringContaining("index 2"));
            using (Session session = Tiny.Session(model))
            {
                Assert.Throws<ArgumentException>(() => session.Append(half));
                Assert.Throws<ArgumentException>(() => session.Append(new[] { ChatMessage.User(half) }));
                Assert.That(session.Info().NPending, Is.EqualTo(0));
            }
        }

        [Test]
        public void AConversationIsQuotedExactly()
        {
            string content = "\"quoted\\\" \u0001\u001f\t\n" + Odd;
            var messages = new[] { ChatMessage.System("s"), ChatMessage.User(content), ChatMessage.Assistant("a") };
            string rendered = model.RenderChat(messages, false);
            Assert.That(rendered, Is.StringContaining(content));
            Assert.That(model.Detokenize(model.TokenizeChat(messages, false)), Is.EqualTo(rendered));
        }

        /// <summary>However the pieces of a stream fall, inside characters too, it is one append.</summary>
        [Test]
        public void StreamsOfBytes()
        {
            string text = Tiny.Repeat(Odd, 20000); // several pieces
            using (Session whole = Tiny.Session(model))
            using (Session pieces = Tiny.Session(model))
            {
                whole.Append(text);
                pieces.AppendAsync(new MemoryStream(Encoding.UTF8.GetBytes(text))).Wait();
                Assert.That(pieces.Info().NPending, Is.EqualTo(whole.Info().NPending));
            }
        }

        private sealed class Failing : MemoryStream
        {
            internal Failing() : base(new byte[300000]) { }

            public override int Read(byte[] buffer, int offset, int count)
            {
                int n = base.Read(buffer, offset, count);
                if (n == 0) throw new IOException("gone");
                return n;
            }
        }

        [Test]
        public void AStreamThatFailsLeavesNothingQueued()
        {
            using (Session session = Tiny.Session(model))
            {
                Assert.That(Assert.Throws<IOException>(() => session.Append(new Failing())).Message, Is.EqualTo("gone"));
                var cut = new MemoryStream(new byte[] { (byte)'a', 0xf0, 0x9f });
                Assert.That(Assert.Throws<ReattnException>(() => session.Append(cut)).Code, Is.EqualTo(ErrorCode.Arg));
                Assert.That(session.Info().NPending, Is.EqualTo(0));
                session.Append("Tea");
                session.Read();
                Assert.That(session.Text(0, session.Info().NTokens), Is.EqualTo("Tea"));
            }
        }

        [Test]
        public void PathsAreExact()
        {
            using (var scratch = new Scratch())
            {
                string odd = scratch.File("modèle 😀 %41+#?.gguf");
                File.Copy(Tiny.Path, odd);
                using (Model same = Model.Open(odd, Tiny.Options))
                using (Session session = Tiny.Session(same))
                {
                    session.Append("Tea");
                    session.Read();
                    string saved = scratch.File("日本語 %2F.snapshot");
                    using (Snapshot snapshot = session.TakeSnapshot()) snapshot.SaveAsync(saved).Wait();
                    using (Snapshot opened = same.OpenSnapshotAsync(saved).Result)
                    {
                        Assert.That(opened.Info().NTokens, Is.EqualTo(session.Info().NTokens));
                    }
                }
                string missing = scratch.File("日本語 😀");
                var failure = Assert.Throws<ReattnException>(() => Model.Open(missing, Tiny.Options));
                Assert.That(failure.Code, Is.EqualTo(ErrorCode.IO));
                Assert.That(failure.Message, Is.StringContaining(missing));
            }
        }

        [Test]
        public void WhatTheModelSays()
        {
            var metadata = model.Metadata();
            Assert.That(metadata.Count, Is.EqualTo(model.Info().NMetadata));
            Assert.That(metadata.First().Key, Is.EqualTo("general.architecture"));
            Assert.That(metadata.Single(each => each.Key == "general.name").Value, Is.EqualTo("tiny random llama"));
        }

        [Test]
        public void WhatTheLibrarySays()
        {
            Assert.That(ReattnLibrary.Version, Is.StringMatching(@"^\d+\.\d+\.\d+$"));
            Assert.That(ReattnLibrary.AbiVersion, Is.EqualTo(Reattn.Native.C.REATTN_ABI_VERSION));
            Assert.That(ReattnLibrary.Diagnose(), Is.StringContaining("CPU"));
            DeviceInfo cpu = ReattnLibrary.Devices()[0];
            Assert.That(cpu.Kind, Is.EqualTo(Device.Cpu));
            Assert.That(cpu.NThreads, Is.GreaterThan(0));
            Assert.That(cpu.MemoryTotal, Is.GreaterThanOrEqualTo(cpu.MemoryFree));
            Assert.That(cpu.Name, Is.Not.Empty);
            Assert.That(cpu.Instructions, Is.Not.Empty);
            while (ReattnLibrary.NextLog() != null) { }
            Model.Open(Tiny.Path, new ModelOptions { HeaderOnly = true }).Dispose(); // device Auto
            LogMessage message = ReattnLibrary.NextLog();
            Assert.That(message.Text, Is.StringContaining("AUTO"));
            Assert.That(message.Sequence, Is.GreaterThan(0));
            var failure = Assert.Throws<ReattnException>(() => ReattnLibrary.LoadBackend("/no/such/plug-in.so"));
            // Busy where a plug-in lies beside the library: that one is in use by now.
            Assert.That(failure.Code, Is.EqualTo(ErrorCode.NoDevice).Or.EqualTo(ErrorCode.Busy));
            Assert.That(failure.Message, Is.StringContaining("/no/such/plug-in.so"));
        }
    }
}
