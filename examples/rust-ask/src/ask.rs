//! A folder that was read, and questions about it.
use std::io::{self, Write};
use std::path::Path;

use reattn::{Event, Layer, Message, Model, RequestOptions, Scope, Session, Snapshot, Span};

use crate::folder::Folder;

type Error = Box<dyn std::error::Error>;

/// Stands for the user's message while the chat template is taken apart.
const MARK: &str = "MARK0USER";

/// What the model's chat template writes before and after what a user says.
pub struct Prompt {
    opening: Vec<i32>,
    closing: Vec<i32>,
    gap: &'static str,
}

impl Prompt {
    /// The words of the template, or with `raw` and for models without one, none.
    pub fn new(model: &Model, raw: bool) -> Result<Prompt, Error> {
        let info = model.info()?;
        if raw || !info.has_chat_template {
            let opening = info.bos_token.filter(|_| info.add_bos).into_iter().collect();
            return Ok(Prompt { opening, closing: Vec::new(), gap: "" });
        }
        let text = model.render_chat(&[Message::user(MARK)], true)?;
        let (before, after) = text.split_once(MARK).ok_or("the chat template hides messages")?;
        Ok(Prompt {
            opening: model.tokenize_special(before)?,
            closing: model.tokenize_special(after)?,
            gap: "\n\n",
        })
    }
}

/// A folder, read.
pub struct Library {
    pub folder: Folder,
    prompt: Prompt,
    session: Session,
    /// Tokens before the document's first.
    n_opening: i64,
}

impl Library {
    /// Reads the folder, or opens what was read in an earlier run out of `cache`.
    pub fn open(
        model: &Model,
        folder: Folder,
        prompt: Prompt,
        cache: Option<&Path>,
    ) -> Result<Library, Error> {
        let n_opening = prompt.opening.len() as i64;
        let name = format!("{:016x}-{n_opening}.reattn", folder.fingerprint());
        let file = cache.map(|cache| cache.join(name));
        if let Some(file) = file.as_deref().filter(|file| file.exists()) {
            match Snapshot::open(model, file) {
                Ok(snapshot) => {
                    eprintln!("read before: {}", file.display());
                    let session = Session::resume(model, &snapshot)?;
                    return Ok(Library { folder, prompt, session, n_opening });
                }
                // Of another model, or damaged: read anew.
                Err(error) => eprintln!("{error}"),
            }
        }
        let mut session = Session::new(model)?;
        // One append: text and ids together are the document.
        let mut ids = prompt.opening.clone();
        ids.extend(model.tokenize(&folder.text)?);
        session.append_ids(&ids)?;
        session.read(|done, total| eprint!("\rread {done} of {total} tokens"))?;
        eprintln!();
        if let (Some(file), Some(cache)) = (file, cache) {
            std::fs::create_dir_all(cache)?;
            session.snapshot()?.save(&file)?;
        }
        Ok(Library { folder, prompt, session, n_opening })
    }

    /// Answers to `out` as the answer comes, then the passages it was drawn from.
    pub fn ask(
        &mut self,
        question: &str,
        prefix: &str,
        options: &RequestOptions,
        out: &mut impl Write,
    ) -> Result<(), Error> {
        let mut session = self.session.fork()?;
        let mut ids = session.model().tokenize(format!("{}{question}", self.prompt.gap))?;
        ids.extend(&self.prompt.closing);
        ids.extend(session.model().tokenize(prefix)?);
        session.append_ids(&ids)?;
        let mut request = session.generate(options)?;
        write!(out, "{prefix}")?;
        for event in &mut request {
            let event = event?;
            write!(out, "{}", event.text())?;
            out.flush()?;
            if let Event::Done { reason, .. } = event {
                writeln!(out)?;
                eprintln!("({reason:?})");
            }
        }
        let spans = request.recalled(Layer::All, Scope::Prompt)?;
        for span in spans.iter().take(5) {
            self.cite(span, out)?;
        }
        Ok(())
    }

    /// A line with a passage and the file it is from.
    fn cite(&self, span: &Span, out: &mut impl Write) -> io::Result<()> {
        let bytes = |begin, end| self.session.text(begin, end).map_err(io::Error::other);
        // Only what lies in the document: a passage may begin in the template's words.
        let n_tokens = self.session.info().map_err(io::Error::other)?.n_tokens;
        let (begin, end) = (span.begin.max(self.n_opening), span.end.min(n_tokens));
        if begin >= end {
            return Ok(());
        }
        let before = bytes(self.n_opening, begin)?.len();
        let file = self.folder.file_at(before).unwrap_or(Path::new("?"));
        let text = String::from_utf8_lossy(&bytes(begin, end)?).into_owned();
        let text = text.trim_matches('\u{fffd}').split_whitespace().collect::<Vec<_>>().join(" ");
        writeln!(out, "  {} ({} votes): {text}", file.display(), span.votes)
    }
}
