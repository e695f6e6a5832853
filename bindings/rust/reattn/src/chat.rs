//! Conversations, and the JSON in which the library takes them.

/// A message of a conversation, for [`Model::tokenize_chat`](crate::Model::tokenize_chat).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who speaks: `system`, `user` or `assistant`, or what else the model's template knows.
    pub role: String,
    /// What is said. Special tokens in it are text like any other.
    pub content: String,
}

impl Message {
    /// A message of any role.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Message { role: role.into(), content: content.into() }
    }

    /// What the conversation is about, and how the model is to behave.
    pub fn system(content: impl Into<String>) -> Self {
        Message::new("system", content)
    }

    /// What the user says.
    pub fn user(content: impl Into<String>) -> Self {
        Message::new("user", content)
    }

    /// What the model said before.
    pub fn assistant(content: impl Into<String>) -> Self {
        Message::new("assistant", content)
    }
}

fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if (control as u32) < 0x20 => {
                out.push_str(&format!("\\u{:04x}", control as u32));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

pub(crate) fn to_json(messages: &[Message]) -> String {
    let mut out = String::from("[");
    for (i, message) in messages.iter().enumerate() {
        out.push_str(if i == 0 { "{\"role\":" } else { ",{\"role\":" });
        push_string(&mut out, &message.role);
        out.push_str(",\"content\":");
        push_string(&mut out, &message.content);
        out.push('}');
    }
    out.push(']');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_survives_as_json() {
        let odd = "naïve 😀 \0 \u{1f} \u{7f} \u{2028} \" \\ \r\n\t </script>";
        let messages = [Message::user(odd), Message::new("a \"role\"", "")];
        let back: serde_json::Value = serde_json::from_str(&to_json(&messages)).unwrap();
        assert_eq!(back[0]["role"], "user");
        assert_eq!(back[0]["content"], odd);
        assert_eq!(back[1]["role"], "a \"role\"");
        assert_eq!(back[1]["content"], "");
        assert_eq!(to_json(&[]), "[]");
    }
}
