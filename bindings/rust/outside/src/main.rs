//! outside MODEL: reads a few words and says how many.
use reattn::{Model, RequestOptions, Session};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: outside MODEL")?;
    let mut session = Session::new(&Model::open(path)?)?;
    session.append("Tea and oranges")?;
    let options = RequestOptions::new().max_tokens(3).ignore_end(true);
    let mut request = session.generate(&options)?;
    request.text()?;
    let stats = request.stats()?;
    println!("read {} tokens, generated {}", stats.n_prefill_tokens, stats.n_decode_tokens);
    Ok(())
}
