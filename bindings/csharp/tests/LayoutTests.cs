using NUnit.Framework;

namespace Reattn.Tests
{
    /// <summary>Structs lie in memory as the C compiler has them.</summary>
    [TestFixture]
    public class LayoutTests
    {
        [Test]
        public void StructsAreAsInC()
        {
            int n = 0;
            foreach (object[] each in Layouts.All())
            {
                Assert.That(each[2], Is.EqualTo(each[1]), (string)each[0]);
                n++;
            }
            Assert.That(n, Is.GreaterThan(100));
        }
    }
}
