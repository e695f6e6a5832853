using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Text;
using System.Text.RegularExpressions;
using Newtonsoft.Json.Linq;

namespace Reattn.Tests
{
    using Members = Dictionary<string, object>;

    /// <summary>The operations of the shared cases, done by the binding as its users would.</summary>
    internal sealed class ConformanceSteps : IDisposable
    {
        private readonly string folder;
        private readonly Dictionary<string, ReattnObject> objects = new Dictionary<string, ReattnObject>();
        private readonly Dictionary<Generation, string> tags = new Dictionary<Generation, string>();

        internal ConformanceSteps(string folder)
        {
            this.folder = folder;
            objects["tiny"] = Model.Open(Tiny.Path, new ModelOptions { Device = Device.Cpu });
        }

        public void Dispose()
        {
            foreach (ReattnObject each in objects.Values) each.Dispose();
        }

        /// <summary>The result of a step: something that becomes JSON.</summary>
        internal object Run(JToken step)
        {
            switch ((string)step["do"])
            {
                case "write_file": File.WriteAllBytes(PathOf(step), Content(step)); return null;
                case "flip_byte": return FlipByte(PathOf(step), (int)step["at"]);
                case "open_model": return OpenModel(step);
                case "synthesize":
                    var geometry = new Geometry();
                    Fill(geometry, step["geometry"]);
                    return Keep(step, Model.Synthesize(geometry, ModelOptionsOf(step)));
                case "model_info": return MembersOf(On<Model>(step).Info());
                case "metadata":
                    return One("value", On<Model>(step).Metadata().Single(each => each.Key == (string)step["key"]).Value);
                case "estimate": return MembersOf(On<Model>(step).Estimate(SessionOptionsOf(step), (long)step["n_tokens"]));
                case "default_options": return MembersOf(new SessionOptions(On<Model>(step), From(step)));
                case "tokenize": return Tokenize(step);
                case "detokenize": return Text(On<Model>(step).DetokenizeBytes(Ids(step)));
                case "render_chat":
                    return One("text", step["json"] != null
                        ? On<Model>(step).RenderChat((string)step["json"], Prompt(step))
                        : On<Model>(step).RenderChat(Messages(step), Prompt(step)));
                case "tokenize_chat":
                    return One("ids", step["json"] != null
                        ? On<Model>(step).TokenizeChat((string)step["json"], Prompt(step))
                        : On<Model>(step).TokenizeChat(Messages(step), Prompt(step)));
                case "new_session": return Keep(step, On<Model>(step).CreateSession(SessionOptionsOf(step), From(step)));
                case "append": return Append(step);
                case "session_info": return MembersOf(On<Session>(step).Info());
                case "tokens": return One("ids", On<Session>(step).Tokens(Begin(step), End(step)));
                case "text": return Text(On<Session>(step).Bytes(Begin(step), End(step)));
                case "logprobs":
                    return One("logprobs", On<Session>(step).Logprobs(Begin(step), End(step))
                        .Select(each => float.IsNaN(each) ? null : (object)each).ToArray());
                case "truncate": On<Session>(step).Truncate((long)step["n_tokens"]); return null;
                case "fork": return Keep(step, On<Session>(step).Fork());
                case "snapshot": return Keep(step, On<Session>(step).TakeSnapshot());
                case "save": On<Snapshot>(step).Save(PathOf(step)); return null;
                case "open_snapshot": return Keep(step, On<Model>(step).OpenSnapshot(PathOf(step)));
                case "snapshot_info": return MembersOf(On<Snapshot>(step).Info());
                case "request": return Keep(step, On<Session>(step).Generate(GenerationOptionsOf(step)));
                case "add_stop":
                    if (IsString(step)) On<Generation>(step).AddStop((string)step["text"]);
                    else On<Generation>(step).AddStop(Content(step));
                    return null;
                case "set_json_schema":
                    On<Generation>(step).SetJsonSchema(IsString(step) ? (string)step["text"] : Encoding.UTF8.GetString(Content(step)));
                    return null;
                case "next": return Event(On<Generation>(step).NextEvent());
                case "drain": return Drain(On<Generation>(step));
                case "cancel": On<Generation>(step).Cancel(); return null;
                case "recalled": return Recalled(step);
                case "logits":
                    float[] logits = On<Generation>(step).Logits();
                    return new Members { { "n", logits.Length }, { "best", Array.IndexOf(logits, logits.Max()) } };
                case "stats": return MembersOf(On<Generation>(step).Stats());
                case "new_queue": return Keep(step, On<Model>(step).CreateQueue());
                case "queue_add":
                    var added = (Generation)objects[(string)step["request"]];
                    On<GenerationQueue>(step).Add(added);
                    tags[added] = step["tag"].ToString();
                    return null;
                case "queue_drain": return QueueDrain(On<GenerationQueue>(step));
                case "close": On<ReattnObject>(step).Dispose(); return null;
                default: throw new NotImplementedException("operation " + step["do"]);
            }
        }

        // ---- Objects --------------------------------------------------------------------------------------

        private T On<T>(JToken step) where T : ReattnObject
        {
            return (T)objects[(string)step["on"] ?? "tiny"];
        }

        private Snapshot From(JToken step)
        {
            return step["from"] == null ? null : (Snapshot)objects[(string)step["from"]];
        }

        private object Keep(JToken step, ReattnObject made)
        {
            objects[(string)step["as"]] = made;
            return null;
        }

        // ---- Operations of more than a call ---------------------------------------------------------------

        private static object FlipByte(string path, int at)
        {
            byte[] bytes = File.ReadAllBytes(path);
            bytes[at] ^= 0xFF;
            File.WriteAllBytes(path, bytes);
            return null;
        }

        private object OpenModel(JToken step)
        {
            LoadProgress last = null;
            Keep(step, Model.Open(PathOf(step), ModelOptionsOf(step), new Told<LoadProgress>(far => last = far)));
            if (!last.Finished) throw new InvalidOperationException("not told that loading has ended");
            return MembersOf(last);
        }

        private object Tokenize(JToken step)
        {
            bool special = step["special"] != null && Truth(step["special"]);
            return One("ids", IsString(step)
                ? On<Model>(step).Tokenize((string)step["text"], special)
                : On<Model>(step).Tokenize(Content(step), special));
        }

        private object Append(JToken step)
        {
            var flags = AppendFlags.None;
            foreach (JToken each in step["flags"] ?? new JArray())
            {
                flags |= (AppendFlags)Enum.Parse(typeof(AppendFlags), (string)each, true);
            }
            if (step["ids"] != null) On<Session>(step).Append(Ids(step), flags);
            else if (IsString(step)) On<Session>(step).Append((string)step["text"], flags);
            else On<Session>(step).Append(Content(step), flags);
            return null;
        }

        private object Recalled(JToken step)
        {
            JToken layer = step["layer"];
            var scope = (RecallScope)ValueOf(step["scope"], typeof(RecallScope));
            long number = layer.Type == JTokenType.Integer ? (long)layer : Generation.AllLayers;
            return One("spans", On<Generation>(step).Recalled(number, scope)
                .Select(span => new[] { span.Begin, span.End, span.Votes }).ToArray());
        }

        private sealed class Answer
        {
            private readonly List<int> tokens = new List<int>();
            private readonly List<string> pieces = new List<string>();
            private Done done;

            internal void Add(GenerationEvent next)
            {
                var token = next as Token;
                if (token != null)
                {
                    tokens.Add(token.Id);
                    pieces.Add(token.Text);
                }
                if (!(next is Done)) return;
                done = (Done)next;
                pieces.Add(done.Text);
            }

            internal Members Members()
            {
                return new Members
                {
                    { "tokens", tokens }, { "pieces", pieces }, { "text", string.Concat(pieces) },
                    { "reason", done == null ? null : done.Reason.ToString().ToUpperInvariant() },
                    { "n_read", done == null ? 0 : done.NDone }
                };
            }
        }

        private static object Drain(Generation generation)
        {
            var answer = new Answer();
            GenerationEvent next;
            while ((next = generation.NextEvent()) != null) answer.Add(next);
            return answer.Members();
        }

        private object QueueDrain(GenerationQueue queue)
        {
            var answers = new Dictionary<string, Answer>();
            QueueEvent next;
            while ((next = queue.Next()) != null)
            {
                if (next.Failure != null) throw next.Failure;
                string tag = tags[next.Generation];
                if (!answers.ContainsKey(tag)) answers[tag] = new Answer();
                answers[tag].Add(next.Event);
            }
            return One("answers", answers.ToDictionary(each => each.Key, each => each.Value.Members()));
        }

        private static object Event(GenerationEvent next)
        {
            var progress = next as ReadProgress;
            var token = next as Token;
            var done = next as Done;
            return new Members
            {
                { "kind", progress != null ? "PREFILL" : token != null ? "TEXT" : done != null ? "DONE" : "END" },
                { "n_done", progress != null ? progress.NDone : done != null ? done.NDone : 0 },
                { "n_total", progress != null ? progress.NTotal : done != null ? done.NTotal : 0 },
                { "token", token != null ? token.Id : -1 },
                { "text", token != null ? token.Text : done != null ? done.Text : "" },
                { "reason", done != null ? done.Reason.ToString().ToUpperInvariant() : null }
            };
        }

        // ---- Options --------------------------------------------------------------------------------------

        private static ModelOptions ModelOptionsOf(JToken step)
        {
            var options = new ModelOptions { Device = Device.Cpu };
            Fill(options, step["options"]);
            return options;
        }

        private SessionOptions SessionOptionsOf(JToken step)
        {
            var options = new SessionOptions(On<Model>(step), From(step));
            if (From(step) == null && (step["defaults"] == null || !Truth(step["defaults"])))
            {
                Fill(options, JObject.Parse(File.ReadAllText(Path.Combine(ConformanceTests.Folder, "settings.json"))));
            }
            Fill(options, step["options"]);
            return options;
        }

        private static GenerationOptions GenerationOptionsOf(JToken step)
        {
            var options = new GenerationOptions { IgnoreEnd = true };
            Fill(options, step["options"]);
            foreach (JToken stop in step["stops"] ?? new JArray()) options.Stops.Add((string)stop);
            if (step["json_schema"] != null) options.JsonSchema = step["json_schema"].ToString(Newtonsoft.Json.Formatting.None);
            return options;
        }

        /// <summary>Sets the property of each option's name.</summary>
        private static void Fill(object options, JToken values)
        {
            if (values == null) return;
            foreach (JProperty value in values.Children<JProperty>())
            {
                PropertyInfo property = options.GetType().GetProperty(Pascal(value.Name));
                if (property == null) throw new MissingMemberException("no option " + value.Name);
                property.SetValue(options, ValueOf(value.Value, property.PropertyType), null);
            }
        }

        private static object ValueOf(JToken value, Type type)
        {
            if (type.IsEnum)
            {
                return value.Type == JTokenType.Integer ? Enum.ToObject(type, (int)value)
                    : Enum.Parse(type, ((string)value).Replace("_", ""), true);
            }
            return type == typeof(bool) ? Truth(value) : value.ToObject(type);
        }

        // ---- Values ---------------------------------------------------------------------------------------

        private static bool Truth(JToken value)
        {
            return value.Type == JTokenType.Boolean ? (bool)value : (int)value != 0;
        }

        private static bool Prompt(JToken step)
        {
            return Truth(step["add_generation_prompt"]);
        }

        private static bool IsString(JToken step)
        {
            return step["text"] != null && step["times"] == null;
        }

        private string PathOf(JToken step)
        {
            return ((string)step["path"]).Replace("$tiny", Tiny.Path).Replace("$dir", folder);
        }

        private static byte[] Content(JToken step)
        {
            if (step["file"] != null) return File.ReadAllBytes(Path.Combine(ConformanceTests.Folder, (string)step["file"]));
            if (step["hex"] == null) return Encoding.UTF8.GetBytes(Tiny.Repeat((string)step["text"], (int?)step["times"] ?? 1));
            var hex = (string)step["hex"];
            return Enumerable.Range(0, hex.Length / 2).Select(i => Convert.ToByte(hex.Substring(2 * i, 2), 16)).ToArray();
        }

        private static int[] Ids(JToken step)
        {
            return step["ids"].Select(each => (int)each).ToArray();
        }

        private static IEnumerable<ChatMessage> Messages(JToken step)
        {
            return step["messages"].Select(each => new ChatMessage((string)each["role"], (string)each["content"])).ToArray();
        }

        private static long Begin(JToken step)
        {
            return (long)step["begin"];
        }

        private static long End(JToken step)
        {
            return (long)step["end"];
        }

        private static object One(string name, object value)
        {
            return new Members { { name, value } };
        }

        private static object Text(byte[] bytes)
        {
            try
            {
                return One("text", new UTF8Encoding(false, true).GetString(bytes));
            }
            catch (DecoderFallbackException)
            {
                return One("hex", string.Concat(bytes.Select(each => each.ToString("x2"))));
            }
        }

        /// <summary>The properties, by the names they have in C.</summary>
        private static Members MembersOf(object info)
        {
            var members = new Members();
            foreach (PropertyInfo property in info.GetType().GetProperties())
            {
                object value = property.GetValue(info, null);
                members[Regex.Replace(property.Name, "(?<=.)([A-Z])", "_$1").ToLowerInvariant()] =
                    value is bool ? (bool)value ? 1 : 0
                    : value is ulong ? (decimal)(ulong)value // this version of Newtonsoft.Json has no large ones
                    : value is Enum ? value.ToString().ToLowerInvariant()
                    : value;
            }
            return members;
        }

        private static string Pascal(string name)
        {
            return string.Concat(name.Split('_').Select(part => char.ToUpperInvariant(part[0]) + part.Substring(1)));
        }
    }
}
