//! What reading a text for a content policy costs: everyday English of 1 KB and 64 KB, the same in German with
//! accents, and the building of the lists, once an isolate. `cargo bench -p weir-core --bench policy`.

use weir_core::policy::{Lexicon, ReadyPolicy, Side};
use weir_core::snapshot::content::{ContentPolicy, Filter, Rule};

const ENGLISH: &str = "The committee will meet on Thursday to discuss the budget for the next year, and whether the new \
library should be open on Sundays. Please send your comments before noon; late ones cannot be considered. ";
const GERMAN: &str = "Der Ausschuß tagt am Donnerstag über den Haushalt für das nächste Jahr und darüber, ob die neue \
Bücherei künftig auch sonntags öffnet. Bitte schicken Sie Ihre Anmerkungen bis spätestens zwölf Uhr. ";

fn main() {
    divan::main();
}

fn read(bencher: divan::Bencher<'_, '_>, text: &str, bytes: usize, personal: bool) {
    let lexicon = Lexicon::built_in();
    let mut policy = ContentPolicy::system("Microsoft.DefaultV2").unwrap_or_else(|| std::process::exit(1));
    if personal {
        let rule = policy.prompt.first().copied();
        policy.prompt.extend(rule.map(|rule| Rule { filter: Filter::PersonalData, ..rule }));
    }
    let policy = ReadyPolicy::new(policy, &[]);
    let text: String = text.chars().cycle().take(bytes).collect();
    bencher
        .counter(divan::counter::BytesCount::of_str(&text))
        .bench_local(|| policy.read(&lexicon, Side::Prompt, &text));
}

#[divan::bench(args = [1_000, 64_000])]
fn english(bencher: divan::Bencher<'_, '_>, bytes: usize) {
    read(bencher, ENGLISH, bytes, false);
}

#[divan::bench(args = [1_000])]
fn german(bencher: divan::Bencher<'_, '_>, bytes: usize) {
    read(bencher, GERMAN, bytes, false);
}

#[divan::bench(args = [1_000])]
fn with_personal_data(bencher: divan::Bencher<'_, '_>, bytes: usize) {
    read(bencher, ENGLISH, bytes, true);
}

#[divan::bench]
fn build() -> Lexicon {
    Lexicon::built_in()
}
