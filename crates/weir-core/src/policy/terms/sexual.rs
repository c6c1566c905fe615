//! Sexual content: what harms children and the unwilling, explicit requests, and mentions. Medicine, education and
//! art are not here. Stage `policy`; data only.

pub(super) const HIGH: &str = "
child porn
child porn*
kiddie porn
underage porn
underage sex
preteen porn
sex with a child
sex with children
sex with a minor
sex with minors
sex with an underage
sexual pictures of children
nude pictures of children
naked pictures of children
naked children pictures
nude kids
naked kids pictures
lolita porn
loli porn
lolicon
shotacon
rape <who>
how to rape
rape fantasy
rape porn
how to drug a girl
incest porn
sex with animals
undress this girl
kinderporno*
sex mit kindern
sex mit einem kind
sex mit minderjährigen
nacktbilder von kindern
vergewaltigungsfantasie
wie vergewaltige ich
gruppenvergewaltigung video
k.o. tropfen besorgen
pornographie infantile
pédopornographie images
sexe avec un enfant
sexe avec des enfants
sexe avec une mineure
photos d'enfants nus
comment violer une femme
comment violer une fille
viol collectif vidéo
pornografía infantil
porno infantil
sexo con niños
sexo con niñas
sexo con menores
fotos de niños desnudos
cómo violar a
violación en grupo video
pornografia infantile
sesso con bambini
sesso con minori
sesso con minorenni
foto di bambini nudi
come violentare
stupro di gruppo video
pornografia infantil
sexo com crianças
sexo com menores
fotos de crianças nuas
como estuprar
estupro coletivo vídeo
детское порно
";

pub(super) const MEDIUM: &str = "
explicit sex scene
graphic sex scene
explicit sexual story
write porn
write me porn
hardcore porn
hardcore sex
gangbang*
blowjob*
blow job
handjob*
hand job porn
deepthroat*
cumshot*
creampie porn
bukkake
dirty talk to me
erotic roleplay
sexual roleplay
talk dirty to me
sex chat with me
have sex with me
want to have sex with you
suck my dick
suck my cock
suck his dick
lick my pussy
eat my pussy
wet pussy
tight pussy
my wet pussy
hard cock
huge cock
fuck me hard
fuck me harder
masturbate for me
send nudes
send me nudes
nude photos of
nude pictures of
naked pictures of
naked photos of
naked pics of
strip naked for me
pornhub
xvideos
xnxx
sex tape of
explizite sexszene
erotisches rollenspiel
porno geschichte schreiben
blas mir einen
schwanz lutschen
muschi lecken
fick mich
nacktbilder von
nacktfotos von
schick mir nacktbilder
scène de sexe explicite
jeu de rôle érotique
suce ma bite
suce moi
baise moi
lèche ma chatte
photos nues de
envoie moi des nudes
escena de sexo explícita
juego de rol erótico
chúpame la polla
chupa mi polla
chúpamela
fóllame
cógeme duro
fotos desnuda de
manda nudes
mándame fotos desnuda
scena di sesso esplicita
gioco di ruolo erotico
succhiami il cazzo
succhiamelo
scopami
leccami la figa
foto nude di
mandami foto nuda
cena de sexo explícita
roleplay erótico
chupa meu pau
me chupa gostoso
me fode
fotos nuas de
manda nudes pra mim
";

pub(super) const LOW: &str = "
gang rape
date rape drug
bestiality
revenge porn
deepfake porn
porn
porno
pornography
pornographic
erotica
erotic story
erotic stories
striptease
sex toy
sex toys
escort service
one night stand story
softcore
pornographie
pornografie
pornografisch
erotikgeschichte
sexspielzeug
histoire érotique
film porno
pornografía
pornográfico
relato erótico
juguetes sexuales
pornografia
pornografico
racconto erotico
conto erótico
brinquedos sexuais
";
