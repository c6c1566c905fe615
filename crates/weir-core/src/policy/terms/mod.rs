//! The built-in term lists, as data.
//!
//! Stage `policy`. One line is one term, as anyone would write it: it is folded when the lists are built. `*` at the
//! end makes it a stem, `<name>` stands for each word of a [`group`]. A term must be harmful whatever stands around
//! it, because nothing else is looked at: single words are here only where no other sense is in use, threats and
//! instructions are whole phrases, and what is merely told of ("he was killed") is at most low. Languages: English,
//! German, French, Spanish, Italian, Portuguese, with a little Dutch, Polish and Russian.

mod hate;
mod injection;
mod profanity;
mod selfharm;
mod sexual;
mod violence;

use crate::snapshot::content::{Filter, Severity};

/// Terms of one filter and one severity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    pub(super) filter: Filter,
    /// None: harmless phrases that begin like a term; see `trie::HARMLESS`.
    pub(super) severity: Option<Severity>,
    pub(super) lines: &'static str,
}

const fn table(filter: Filter, severity: Severity, lines: &'static str) -> Table {
    Table { filter, severity: Some(severity), lines }
}

/// All lists.
pub(super) const TABLES: &[Table] = &[
    table(Filter::Hate, Severity::High, hate::HIGH),
    table(Filter::Hate, Severity::Medium, hate::MEDIUM),
    table(Filter::Hate, Severity::Low, hate::LOW),
    table(Filter::Sexual, Severity::High, sexual::HIGH),
    table(Filter::Sexual, Severity::Medium, sexual::MEDIUM),
    table(Filter::Sexual, Severity::Low, sexual::LOW),
    table(Filter::Violence, Severity::High, violence::HIGH),
    table(Filter::Violence, Severity::Medium, violence::MEDIUM),
    table(Filter::Violence, Severity::Low, violence::LOW),
    table(Filter::SelfHarm, Severity::High, selfharm::HIGH),
    table(Filter::SelfHarm, Severity::Medium, selfharm::MEDIUM),
    table(Filter::SelfHarm, Severity::Low, selfharm::LOW),
    table(Filter::Profanity, Severity::High, profanity::WORDS),
    table(Filter::Jailbreak, Severity::High, injection::PHRASES),
    Table { filter: Filter::Hate, severity: None, lines: HARMLESS },
];

/// Phrases that begin as a term does and mean something else.
const HARMLESS: &str = "
end my life insurance
want to end my life insurance
i will kill them in the next match
how to kill people in minecraft
kill yourself laughing
kill myself laughing
die juden in
";

/// The words that a placeholder stands for, parted by bars.
pub(super) fn group(name: &str) -> &'static str {
    match name {
        "who" => {
            "him|her|them|someone|somebody|people|a person|a human|my wife|my husband|my boss|my neighbor|my neighbour|my ex|my parents|my mother|my father|my teacher|my classmates|my coworkers"
        }
        "people" => {
            "jews|muslims|blacks|black people|gays|gay people|lesbians|homosexuals|trans people|immigrants|migrants|refugees|arabs|asians|mexicans|gypsies|roma|christians|hindus|sikhs|foreigners|disabled people|women|africans"
        }
        "wen" => {
            "ihn|sie|jemanden|einen menschen|menschen|meine frau|meinen mann|meinen chef|meinen nachbarn|meinen ex|meine eltern"
        }
        "leute" => {
            "juden|muslime|moslems|schwarze|schwule|lesben|ausländer|flüchtlinge|migranten|asylanten|türken|araber|zigeuner|behinderte|frauen"
        }
        "qui" => "quelqu'un|une personne|ma femme|mon mari|mon patron|mon voisin|mes parents|mon ex|des gens",
        "gens" => {
            "juifs|musulmans|noirs|arabes|homosexuels|homos|immigrés|migrants|réfugiés|étrangers|gitans|handicapés|femmes"
        }
        "quien" => {
            "alguien|una persona|mi esposa|mi mujer|mi marido|mi jefe|mi vecino|mis padres|mi ex|personas"
        }
        "gente" => {
            "judíos|musulmanes|negros|moros|gais|homosexuales|inmigrantes|refugiados|extranjeros|gitanos|mujeres"
        }
        "chi" => {
            "qualcuno|una persona|mia moglie|mio marito|il mio capo|il mio vicino|i miei genitori|persone"
        }
        "popoli" => {
            "ebrei|musulmani|neri|negri|gay|omosessuali|immigrati|migranti|rifugiati|stranieri|zingari|rom|donne"
        }
        "quem" => {
            "alguém|uma pessoa|minha esposa|minha mulher|meu marido|meu chefe|meu vizinho|meus pais|pessoas"
        }
        "povos" => {
            "judeus|muçulmanos|negros|pretos|gays|homossexuais|imigrantes|migrantes|refugiados|estrangeiros|ciganos|mulheres"
        }
        "ignore" => "ignore|disregard|forget",
        "all" => "all|all the|all of the|all your|any|the|your|every",
        "prior" => "previous|prior|above|earlier|preceding|initial|original",
        "orders" => "instruction*|prompt*|rules|guideline*|directive*",
        _ => "",
    }
}
