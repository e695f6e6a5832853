//! rust-ask MODEL FOLDER [QUESTION...]: reads a folder of text files and answers from them.
mod ask;
mod folder;

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use reattn::{Device, ModelOptions, RequestOptions};

use ask::{Library, Prompt};
use folder::Folder;

const USAGE: &str = "usage: rust-ask MODEL FOLDER [QUESTION...] [--cache FOLDER] [--max-tokens N] \
[--device auto|cpu|cuda] [--raw] [--prefix TEXT]";

struct Arguments {
    model: PathBuf,
    folder: PathBuf,
    questions: Vec<String>,
    cache: Option<PathBuf>,
    max_tokens: i64,
    device: Device,
    raw: bool,
    prefix: String,
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let (mut texts, mut cache, mut prefix) = (Vec::new(), None, String::new());
    let (mut max_tokens, mut device, mut raw) = (256, Device::Auto, false);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--cache" => cache = Some(PathBuf::from(value()?)),
            "--prefix" => prefix = value()?,
            "--raw" => raw = true,
            "--max-tokens" => {
                let text = value()?;
                max_tokens = text.parse().map_err(|_| format!("--max-tokens {text}: a number"))?;
            }
            "--device" => {
                device = match value()?.as_str() {
                    "auto" => Device::Auto,
                    "cpu" => Device::Cpu,
                    "cuda" => Device::Cuda,
                    other => return Err(format!("--device {other}: auto, cpu or cuda")),
                }
            }
            option if option.starts_with("--") => return Err(format!("unknown option {option}")),
            _ => texts.push(argument),
        }
    }
    if texts.len() < 2 {
        return Err("a model and a folder are needed".to_string());
    }
    let questions = texts.split_off(2);
    let [model, folder] = [texts.remove(0).into(), texts.remove(0).into()];
    Ok(Arguments { model, folder, questions, cache, max_tokens, device, raw, prefix })
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let folder = Folder::read(&arguments.folder)
        .map_err(|error| format!("{}: {error}", arguments.folder.display()))?;
    for what in &folder.left_out {
        eprintln!("left out: {what}");
    }
    if folder.parts.is_empty() {
        return Err(format!("{}: there is no text in it", arguments.folder.display()).into());
    }
    let options = ModelOptions::new().device(arguments.device);
    let model = options.open_with_progress(&arguments.model, |progress| {
        eprint!("\rloaded {} of {} MB", progress.bytes_done >> 20, progress.bytes_total >> 20);
    })?;
    eprintln!();
    let prompt = Prompt::new(&model, arguments.raw)?;
    let mut library = Library::open(&model, folder, prompt, arguments.cache.as_deref())?;

    let options = RequestOptions::new().max_tokens(arguments.max_tokens);
    let mut out = io::stdout().lock();
    let mut ask = |question: &str| library.ask(question, &arguments.prefix, &options, &mut out);
    if !arguments.questions.is_empty() {
        return arguments.questions.iter().try_for_each(|question| ask(question));
    }
    let prompt = || {
        if io::stdin().is_terminal() {
            eprint!("> ");
            let _ = io::stderr().flush();
        }
    };
    prompt();
    for line in io::stdin().lock().lines() {
        let line = line?;
        if !line.trim().is_empty() {
            ask(line.trim())?;
        }
        prompt();
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("rust-ask: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rust-ask: {error}");
            ExitCode::FAILURE
        }
    }
}
