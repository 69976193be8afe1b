//! Texts without a language model, for development, tests and whoever has no provider: always
//! the same for the same prompt, at once, and honest about what they are.

/// Its name. Nobody should take it for a model.
pub(super) const MODEL: &str = "tollgate-local";

/// The text in the pieces that a stream sends: words with the space before them.
pub(super) fn write(prompt: &str) -> Vec<String> {
    let words = prompt.split_whitespace().count();
    let subject: String = prompt.split_whitespace().take(12).collect::<Vec<_>>().join(" ");
    let more = if words > 12 { " …" } else { "" };
    let text = format!(
        "You asked for: {subject}{more} This is where a language model would answer. \
         These lines were made on the spot, without one and without a network, from the {words} \
         {noun} of your prompt. Set AI_BASE_URL, AI_API_KEY and AI_MODEL to have one write instead.",
        noun = if words == 1 { "word" } else { "words" },
    );
    text.split_inclusive(' ').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_has_one_text_and_its_pieces_make_it_up() {
        let text = write("a toll gate at dawn").concat();
        assert!(text.starts_with("You asked for: a toll gate at dawn This is"), "{text}");
        assert!(text.contains("from the 5 words of your prompt"), "{text}");
        assert_eq!(text, write("a toll gate at dawn").concat());
    }
}
