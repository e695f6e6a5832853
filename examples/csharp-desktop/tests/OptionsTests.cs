using NUnit.Framework;

namespace Reattn.Desktop.Tests
{
    [TestFixture]
    public class OptionsTests
    {
        private static Options Parse(string line)
        {
            return Options.Parse(line.Split(new[] { ' ' }, System.StringSplitOptions.RemoveEmptyEntries));
        }

        [Test]
        public void All_is_optional()
        {
            Options options = Parse("");
            Assert.IsNull(options.Model);
            Assert.IsNull(options.Book);
            Assert.AreEqual(Device.Auto, options.Device);
            Assert.IsFalse(options.Raw);
        }

        [Test]
        public void Files_and_options_mix()
        {
            Options options = Parse("--raw m.gguf --device cuda --threads 3 b.txt");
            Assert.AreEqual("m.gguf b.txt Cuda 3 True",
                options.Model + " " + options.Book + " " + options.Device + " " + options.Threads + " " + options.Raw);
            Assert.IsTrue(Parse("--help").Help);
        }

        [TestCase("--what", "unknown option --what")]
        [TestCase("--span", "--span needs a value")]
        [TestCase("--span many", "--span many: a number is needed")]
        [TestCase("--span -1", "--span -1: a number is needed")]
        [TestCase("--device tpu", "--device tpu: auto, cpu or cuda")]
        [TestCase("a b c", "c: there is a model and a book already")]
        public void What_is_wrong_is_said(string line, string said)
        {
            Assert.AreEqual(said, Assert.Throws<UsageException>(() => Parse(line)).Message);
        }
    }
}
