//! A placeholder for a language model, for development and tests. The same prompt always produces the same
//! text.

/// The placeholder's name, which should not look like a model's.
pub(super) const MODEL: &str = "tollgate-local";

/// Returns the text in chunks of one word, like a stream.
pub(super) fn generate(prompt: &str) -> Vec<String> {
    let words = prompt.split_whitespace().count();
    let subject: String = prompt.split_whitespace().take(12).collect::<Vec<_>>().join(" ");
    let more = if words > 12 { " …" } else { "" };
    let text = format!(
        "You asked for: {subject}{more} This is where a language model would answer. \
         This placeholder was generated locally from the {words} {noun} of your prompt. \
         Set AI_BASE_URL, AI_API_KEY and AI_MODEL to use a model.",
        noun = if words == 1 { "word" } else { "words" },
    );
    text.split_inclusive(' ').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_always_has_the_same_text() {
        let text = generate("a toll gate at dawn").concat();
        assert!(text.starts_with("You asked for: a toll gate at dawn This is"), "{text}");
        assert!(text.contains("from the 5 words of your prompt"), "{text}");
        assert_eq!(text, generate("a toll gate at dawn").concat());
    }
}
