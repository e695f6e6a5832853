using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Reattn
{
    /// <summary>One message of a conversation. Its content cannot forge the special tokens of the chat template.</summary>
    public sealed class ChatMessage
    {
        /// <summary>A message.</summary>
        /// <param name="role">Such as "system", "user" or "assistant".</param>
        /// <param name="content">Its text.</param>
        public ChatMessage(string role, string content)
        {
            if (role == null) throw new ArgumentNullException("role");
            if (content == null) throw new ArgumentNullException("content");
            Role = role;
            Content = content;
        }

        /// <summary>Who says it.</summary>
        public string Role { get; private set; }

        /// <summary>What is said.</summary>
        public string Content { get; private set; }

        /// <summary>What the model is told beforehand.</summary>
        public static ChatMessage System(string content)
        {
            return new ChatMessage("system", content);
        }

        /// <summary>What the user says.</summary>
        public static ChatMessage User(string content)
        {
            return new ChatMessage("user", content);
        }

        /// <summary>What the model answered.</summary>
        public static ChatMessage Assistant(string content)
        {
            return new ChatMessage("assistant", content);
        }

        /// <summary>The JSON array that the C API takes.</summary>
        internal static string Json(IEnumerable<ChatMessage> messages)
        {
            if (messages == null) throw new ArgumentNullException("messages");
            var json = new StringBuilder("[");
            foreach (ChatMessage message in messages)
            {
                if (json.Length > 1) json.Append(',');
                Quote(json.Append("{\"role\":"), message.Role);
                Quote(json.Append(",\"content\":"), message.Content);
                json.Append('}');
            }
            return json.Append(']').ToString();
        }

        private static void Quote(StringBuilder json, string text)
        {
            json.Append('"');
            foreach (char c in text)
            {
                if (c == '"' || c == '\\') json.Append('\\').Append(c);
                else if (c < ' ') json.Append("\\u").Append(((int)c).ToString("x4", CultureInfo.InvariantCulture));
                else json.Append(c);
            }
            json.Append('"');
        }
    }
}
