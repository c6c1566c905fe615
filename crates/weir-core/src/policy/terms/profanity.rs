//! Coarse words. Only those without another sense in any of the languages: no `ass`, `cock`, `dick`, `con`. Stage
//! `policy`; data only.

pub(super) const WORDS: &str = "
fuck
fucks
fucked
fucker
fuckers
fucking
fuckin
motherfuck*
clusterfuck
shit
shits
shitty
shithead*
bullshit
horseshit
asshole*
arsehole*
dumbass
jackass
bitch
bitches
bitching
son of a bitch
bastards
cunt
cunts
dickhead*
cocksucker*
wanker*
twat
twats
bollocks
piss off
pissed off
goddamn
goddamned
scheisse
scheiss
beschissen*
arschloch
arschlöcher
fotze
fotzen
wichser
hurensohn
hurensöhne
miststück
schlampe
fick dich
verpiss dich
leck mich am arsch
merde
putain
connard*
connasse*
salope*
enculé*
fils de pute
ta gueule
nique ta mère
va te faire foutre
bordel de merde
mierda
puta
putas
hijo de puta
hija de puta
hijoputa
cabrón
cabrones
gilipollas
joder
coño
pendejo
pendejos
chinga tu madre
vete a la mierda
cazzo
merda
stronzo
stronzi
stronza
vaffanculo
puttana
figlio di puttana
coglione
coglioni
porca troia
caralho
porra
foda se
filho da puta
filhos da puta
vai se foder
vai tomar no cu
cuzão
arrombado
buceta
kurwa
kurwy
skurwysyn
pierdolony
kutwijf
klootzak
godverdomme
бля
блядь
сука
пиздец
хуй
ебать
";
