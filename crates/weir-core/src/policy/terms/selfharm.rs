//! Harm to oneself: intent, incitement and methods. Prevention, history and medicine are not here. Stage `policy`;
//! data only.

pub(super) const HIGH: &str = "
kill myself
kill yourself
kill your self
killing myself
how to commit suicide
how do i commit suicide
best way to commit suicide
easiest way to commit suicide
painless way to die
painless suicide
painless way to commit suicide
how to hang myself
how to hang yourself
want to hang myself
how to slit my wrists
slit my wrists
cut my wrists
slit your wrists
how to overdose on
how many pills to die
how many pills to kill
lethal dose for suicide
suicide pact
write my suicide note
write a suicide note
how to cut myself
how to self harm
how to starve myself
go kill yourself
go hang yourself
you should kill yourself
pro ana tips
ich bringe mich um
ich bring mich um
ich will mich umbringen
ich werde mich umbringen
wie bringe ich mich um
wie kann ich mich umbringen
bring dich um
wie begehe ich selbstmord
schmerzloser selbstmord
schmerzlos sterben
selbstmord begehen wie
abschiedsbrief suizid schreiben
pulsadern aufschneiden
wie erhänge ich mich
wie ritze ich mich
je vais me tuer
je veux me tuer
je vais me suicider
je veux me suicider
comment me suicider
comment se suicider
comment me tuer
suicide sans douleur
mourir sans douleur
suicide toi
va te pendre
m'ouvrir les veines
m'ouvrir les poignets
comment me pendre
me voy a matar
me quiero matar
quiero matarme
voy a suicidarme
quiero suicidarme
cómo suicidarme
cómo suicidarse
cómo matarme
suicidio sin dolor
morir sin dolor
suicídate
mátate
cortarme las venas
cómo ahorcarme
mi ammazzo
voglio uccidermi
voglio ammazzarmi
voglio suicidarmi
come suicidarsi
come suicidarmi
come uccidermi
suicidio indolore
morire senza dolore
ucciditi
ammazzati
tagliarmi le vene
come impiccarmi
vou me matar
quero me matar
quero me suicidar
vou me suicidar
como me suicidar
como se suicidar
como me matar
suicídio sem dor
morrer sem dor
se mata logo
cortar os pulsos
como me enforcar
хочу покончить с собой
хочу убить себя
chcę się zabić
ik wil zelfmoord plegen
";

pub(super) const MEDIUM: &str = "
i want to die
i wanna die
wish i was dead
wish i were dead
want to end my life
end it all tonight
no reason to live
don't want to live anymore
don't want to live any more
i am suicidal
i'm suicidal
suicide method
suicide methods
thinspo
thinspiration
i cut myself
i keep cutting myself
want to hurt myself
hurt myself on purpose
ich will sterben
ich möchte sterben
ich will nicht mehr leben
ich möchte nicht mehr leben
ohne mich besser dran
ich ritze mich
mich selbst verletzen
suizidmethoden
selbstmordmethoden
je veux mourir
j'ai envie de mourir
je ne veux plus vivre
en finir avec la vie
me faire du mal
je me scarifie
quiero morir
quiero morirme
no quiero vivir más
no quiero seguir viviendo
acabar con mi vida
hacerme daño
voglio morire
non voglio più vivere
farla finita
porre fine alla mia vita
farmi del male
quero morrer
não quero mais viver
acabar com a minha vida
tirar a minha própria vida
me machucar de propósito
";

pub(super) const LOW: &str = "
better off dead
commit suicide
committed suicide
took his own life
took her own life
self harm
self injury
selbstmord begehen
selbstmord begangen
sich das leben nehmen
selbstverletzung
s'est suicidé
s'est suicidée
mettre fin à ses jours
automutilation
se suicidó
quitarse la vida
autolesión
autolesiones
si è suicidato
togliersi la vita
autolesionismo
se suicidou
tirar a própria vida
automutilação
";
