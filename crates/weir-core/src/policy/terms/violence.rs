//! Violence: threats, and instructions for harm. Stage `policy`; data only.

pub(super) const HIGH: &str = "
how to make a bomb
how to build a bomb
how do i make a bomb
how do i build a bomb
how can i make a bomb
make a pipe bomb
build a pipe bomb
make a nail bomb
make a car bomb
build a car bomb
make a dirty bomb
build a dirty bomb
make napalm at home
homemade explosives
improvised explosive device instructions
how to make nerve gas
how to make sarin
synthesize sarin
synthesize nerve agent
how to make ricin
how to weaponize anthrax
how to kill <who>
best way to kill <who>
easiest way to kill <who>
ways to kill <who>
help me kill <who>
want to kill <who>
going to kill <who>
i will kill <who>
i'll kill <who>
plan to kill <who>
how to murder <who>
plan a murder
how to poison <who>
how to strangle <who>
how to torture <who>
torture <who> to death
beat <who> to death
stab <who> to death
burn <who> alive
i will kill you
i'm going to kill you
i am going to kill you
gonna kill you
i will murder you
i will slit your throat
i will find you and kill you
you deserve to be shot
shoot up a school
shoot up the school
shoot up my school
shoot up my office
commit a mass shooting
plan a mass shooting
carry out a terrorist attack
plan a terrorist attack
how to get away with murder of
behead <who>
hire a hitman
wie baue ich eine bombe
wie baut man eine bombe
wie bastelt man eine bombe
bombe bauen anleitung
rohrbombe bauen
wie töte ich <wen>
wie tötet man <wen>
wie bringe ich <wen> um
ich bringe <wen> um
ich bring dich um
ich werde dich töten
ich werde dich umbringen
ich werde <wen> töten
ich werde <wen> umbringen
ich will <wen> töten
ich will <wen> umbringen
ich steche dich ab
wie vergifte ich <wen>
amoklauf planen
anschlag planen
comment fabriquer une bombe
comment construire une bombe
fabriquer une bombe artisanale
comment tuer <qui>
comment assassiner <qui>
comment empoisonner <qui>
je vais te tuer
je vais tuer <qui>
je veux tuer <qui>
je vais t'égorger
planifier un attentat
cómo hacer una bomba
cómo fabricar una bomba
como construir una bomba
fabricar una bomba casera
cómo matar a <quien>
cómo asesinar a <quien>
cómo envenenar a <quien>
te voy a matar
voy a matar a <quien>
voy a matarte
quiero matar a <quien>
planear un atentado
come costruire una bomba
come fabbricare una bomba
come uccidere <chi>
come ammazzare <chi>
come avvelenare <chi>
ti ammazzo
ti ucciderò
voglio uccidere <chi>
pianificare un attentato
como fazer uma bomba
como fabricar uma bomba
como construir uma bomba
como matar <quem>
como assassinar <quem>
como envenenar <quem>
vou te matar
vou matar você
vou matar <quem>
quero matar <quem>
planejar um atentado
hoe maak ik een bom
jak zrobić bombę
как сделать бомбу
я тебя убью
";

pub(super) const MEDIUM: &str = "
beat <who> up badly
shoot <who> in the head
shoot <who> in the face
bullet in your head
i will hurt you
i'm going to hurt you
i will beat you
i will break your
i hope you die
you should die
you deserve to die
make a weapon at home
3d print a gun
print a ghost gun
untraceable gun
make a molotov cocktail
make molotov cocktails
make a silencer
ich schlage dich tot
ich schlag dich tot
ich hoffe du stirbst
du sollst sterben
molotowcocktail bauen
je vais te frapper
je vais te casser la
j'espère que tu meurs
cocktail molotov maison
ojalá te mueras
mereces morir
te voy a golpear
te voy a romper la
spero che tu muoia
meriti di morire
ti spacco la faccia
espero que você morra
você merece morrer
vou te bater
vou quebrar a sua cara
";

pub(super) const LOW: &str = "
murder <who>
stab <who>
strangle <who>
poison <who>
torture <who>
slit his throat
slit her throat
slit their throats
cut his head off
cut her head off
smash his skull
smash her skull
break his legs
break her legs
bullet in his head
bullet in her head
acid attack on
kehle durchschneiden
kopf abschlagen
jemanden erstechen
jemanden erwürgen
jemanden vergiften
trancher la gorge
égorger <qui>
poignarder <qui>
étrangler <qui>
cortar el cuello a
degollar a <quien>
apuñalar a <quien>
estrangular a <quien>
tagliare la gola a
pugnalare <chi>
strangolare <chi>
cortar a garganta de
esfaquear <quem>
estrangular <quem>
kill <who>
beat <who> up
punch <who> in the face
blow up a building
blow up the building
killing spree
bloodbath
massacre of
decapitat*
dismember*
<wen> töten
<wen> umbringen
<wen> verprügeln
blutbad
massaker
tuer <qui>
frapper <qui>
bain de sang
matar a <quien>
golpear a <quien>
baño de sangre
uccidere <chi>
picchiare <chi>
bagno di sangue
matar <quem>
espancar <quem>
banho de sangue
";
