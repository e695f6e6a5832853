using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using Newtonsoft.Json.Linq;
using NUnit.Framework;

namespace Reattn.Tests
{
    /// <summary>The cases that all bindings share: every step of every one.</summary>
    [TestFixture]
    public class ConformanceTests
    {
        private const double Tolerance = 0.01;

        internal static string Folder
        {
            get { return Tiny.Setting("REATTN_CONFORMANCE"); }
        }

        public static IEnumerable<TestCaseData> Cases()
        {
            foreach (string path in Directory.GetFiles(Path.Combine(Folder, "cases"), "*.json").OrderBy(each => each))
            {
                foreach (JToken one in JObject.Parse(File.ReadAllText(path))["cases"])
                {
                    yield return new TestCaseData(one["steps"]).SetName(Path.GetFileName(path) + ": " + one["name"]);
                }
            }
        }

        [Test]
        public void ThereAreCases()
        {
            Assert.That(Cases().Count(), Is.GreaterThan(90));
        }

        [TestCaseSource("Cases")]
        public void Case(JToken steps)
        {
            using (var scratch = new Scratch())
            using (var runner = new ConformanceSteps(scratch.Path))
            {
                foreach (JToken step in steps) Step(runner, step);
            }
        }

        private static void Step(ConformanceSteps runner, JToken step)
        {
            string at = step.ToString(Newtonsoft.Json.Formatting.None);
            JToken fails = step["fails"];
            object result;
            try
            {
                result = runner.Run(step);
            }
            catch (ReattnException failure)
            {
                if (fails == null) throw new AssertionException(at + " failed", failure);
                AssertFailure(fails, "E_" + CodeName(failure.Code), failure.Message, at);
                return;
            }
            catch (ObjectDisposedException failure)
            {
                if (fails == null) throw new AssertionException(at + " failed", failure);
                AssertFailure(fails, "E_HANDLE", failure.Message, at);
                return;
            }
            Assert.That(fails, Is.Null, at + " did not fail");
            if (step["expect"] != null) AssertSame(step["expect"], JToken.FromObject(result), at);
        }

        /// <summary>NoDevice: NO_DEVICE, IO: IO.</summary>
        private static string CodeName(ErrorCode code)
        {
            return Regex.Replace(code.ToString(), "(?<=[a-z])([A-Z])", "_$1").ToUpperInvariant();
        }

        private static void AssertFailure(JToken fails, string code, string message, string at)
        {
            JToken codes = fails["code"];
            var known = codes is JArray ? codes.Select(each => (string)each) : new[] { (string)codes };
            Assert.That(known, Has.Member(code), at + " failed with: " + message);
            if (code == "E_HANDLE") return; // The runtime's own words.
            foreach (JToken part in fails["says"] ?? new JArray()) Assert.That(message, Is.StringContaining((string)part), at);
        }

        /// <summary>Members that are not named in `expected` are not looked at.</summary>
        private static void AssertSame(JToken expected, JToken got, string at)
        {
            switch (expected.Type)
            {
                case JTokenType.Object:
                    foreach (JProperty member in expected.Children<JProperty>())
                    {
                        Assert.That(got[member.Name], Is.Not.Null, at + " gives no " + member.Name + ": " + got);
                        AssertSame(member.Value, got[member.Name], at);
                    }
                    break;
                case JTokenType.Array:
                    Assert.That(got.Count(), Is.EqualTo(expected.Count()), at + " gave " + got);
                    for (int i = 0; i < expected.Count(); i++) AssertSame(expected[i], got[i], at);
                    break;
                case JTokenType.Float:
                    Assert.That((double)got, Is.EqualTo((double)expected).Within(Tolerance), at);
                    break;
                case JTokenType.Integer:
                    Assert.That(got.Type, Is.EqualTo(JTokenType.Integer).Or.EqualTo(JTokenType.Float), at + " gave " + got);
                    Assert.That((decimal)got, Is.EqualTo((decimal)expected), at);
                    break;
                default:
                    Assert.That(JToken.DeepEquals(expected, got), at + " gave " + got);
                    break;
            }
        }
    }
}
