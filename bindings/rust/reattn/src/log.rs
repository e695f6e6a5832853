//! What the library decided on its own.
use crate::error::{Code, Result};
use crate::raw::{call, sized, Status};

/// A message of the library, such as "device AUTO chose CPU: ...".
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogMessage {
    /// 1, 2, 3, ... in this process; a gap: that many messages were overwritten unread.
    pub sequence: u64,
    /// One line.
    pub text: String,
}

/// The messages that nobody has read yet, oldest first. The library keeps the last 256 of the process and
/// hands each out once; it never prints.
///
/// ```
/// for message in reattn::log_messages() {
///     eprintln!("reattn: {}", message.text);
/// }
/// ```
pub fn log_messages() -> LogMessages {
    LogMessages { buffer: vec![0; 512] }
}

/// The iterator of [`log_messages`]; it ends when there is none now.
#[derive(Debug)]
pub struct LogMessages {
    buffer: Vec<u8>,
}

impl LogMessages {
    fn take(&mut self) -> Result<Option<LogMessage>> {
        loop {
            let mut event =
                sized(|out: &mut reattn_sys::reattn_log_event, size| out.struct_size = size);
            let mut needed = 0;
            let buffer = &mut self.buffer;
            // SAFETY: the buffer is as long as is said, and `event` states its size.
            let status = call(|err| unsafe {
                let (start, length) = (buffer.as_mut_ptr(), buffer.len() as u64);
                reattn_sys::reattn_log_next(&mut event, start, length, &mut needed, err)
            });
            match status {
                Ok(Status::Ok) => {
                    let text = &self.buffer[..event.text_bytes as usize];
                    let text = String::from_utf8_lossy(text).into_owned();
                    return Ok(Some(LogMessage { sequence: event.sequence, text }));
                }
                Ok(_) => return Ok(None),
                Err(error) if error.code() == Code::Buffer => {
                    self.buffer.resize(needed as usize, 0);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Iterator for LogMessages {
    type Item = LogMessage;

    fn next(&mut self) -> Option<LogMessage> {
        // Reading the log fails only when memory is out: there is nothing to say then.
        self.take().ok().flatten()
    }
}
