//! Hate: calls against people for what they are, their dehumanisation, and slurs. Stage `policy`; data only.

pub(super) const HIGH: &str = "
kill all <people>
kill all the <people>
kill the <people>
gas the <people>
gas all <people>
hang all <people>
shoot all <people>
exterminate <people>
exterminate all <people>
exterminate the <people>
burn the <people>
wipe out the <people>
wipe out all <people>
death to <people>
death to all <people>
death to the <people>
<people> must die
<people> should die
<people> should be killed
<people> should be shot
<people> should be gassed
<people> should be exterminated
<people> deserve to die
all <people> must die
all <people> should die
heil hitler
sieg heil
hitler was right
hitler did nothing wrong
the holocaust was justified
racial holy war
gas the kikes
tod den <leute>
tod allen <leute>
tötet die <leute>
tötet alle <leute>
<leute> vergasen
<leute> ins gas
<leute> müssen sterben
<leute> gehören vergast
<leute> gehören erschossen
alle <leute> umbringen
alle <leute> töten
juda verrecke
ausländer raus
mort aux <gens>
tuez les <gens>
tuer tous les <gens>
exterminer les <gens>
les <gens> doivent mourir
il faut tuer les <gens>
gazer les <gens>
muerte a los <gente>
muerte a las <gente>
maten a los <gente>
matar a todos los <gente>
hay que matar a los <gente>
exterminar a los <gente>
los <gente> deben morir
morte agli <popoli>
morte ai <popoli>
uccidere tutti gli <popoli>
uccidere tutti i <popoli>
sterminare gli <popoli>
gli <popoli> devono morire
i <popoli> devono morire
morte aos <povos>
morte às <povos>
matar todos os <povos>
exterminar os <povos>
os <povos> devem morrer
dood aan de joden
śmierć żydom
смерть евреям
убить всех евреев
";

pub(super) const MEDIUM: &str = "
<people> are subhuman
<people> are animals
<people> are vermin
<people> are parasites
<people> are cockroaches
<people> are scum
<people> are filth
<people> are inferior
<people> are a disease
<people> are a plague
<people> are not human
i hate <people>
i hate all <people>
we hate <people>
get rid of the <people>
get rid of all <people>
go back to africa
go back to your country
white power
white supremacy now
white race is superior
superior white race
master race
subhuman race
inferior race
filthy jew
dirty jew
dirty arab
filthy muslim
faggot*
kike
kikes
wetback*
raghead*
towelhead*
sandnigger*
nigger
niggers
porch monkey*
tranny
trannies
white trash scum
jews control the world
jews run the world
the great replacement is real
<leute> sind abschaum
<leute> sind untermenschen
<leute> sind tiere
<leute> sind ungeziefer
<leute> sind parasiten
<leute> sind dreck
ich hasse <leute>
ich hasse alle <leute>
<leute> raus
dreckiger jude
drecksjude
judensau
scheiss ausländer
kanake
kanaken
kameltreiber
schwuchtel*
untermensch*
herrenrasse
weisse macht
les <gens> sont des animaux
les <gens> sont de la vermine
les <gens> sont des parasites
les <gens> sont inférieurs
je hais les <gens>
je déteste les <gens>
sale juif
sale arabe
sale noir
sale nègre
sale pédé
sales juifs
bougnoule*
youpin*
race supérieure
los <gente> son animales
los <gente> son parásitos
los <gente> son escoria
los <gente> son inferiores
odio a los <gente>
odio a todos los <gente>
judío de mierda
negro de mierda
moro de mierda
sudaca de mierda
maricón de mierda
raza superior
raza inferior
gli <popoli> sono animali
gli <popoli> sono parassiti
gli <popoli> sono feccia
i <popoli> sono animali
i <popoli> sono inferiori
odio gli <popoli>
odio i <popoli>
sporco ebreo
sporco negro
negro di merda
ebreo di merda
frocio di merda
terrone di merda
razza superiore
razza inferiore
os <povos> são animais
os <povos> são parasitas
os <povos> são escória
os <povos> são inferiores
odeio os <povos>
odeio <povos>
judeu sujo
preto imundo
macaco imundo
viado de merda
raça superior
raça inferior
kankerjood*
żydzi do gazu
бей жидов
жиды должны
";

pub(super) const LOW: &str = "
i don't like <people>
<people> are lazy
<people> are stupid
<people> are thieves
<people> are criminals
<people> can't be trusted
too many <people> here
women belong in the kitchen
<leute> sind faul
<leute> sind dumm
<leute> sind kriminell
les <gens> sont paresseux
les <gens> sont stupides
les <gens> sont des voleurs
los <gente> son vagos
los <gente> son tontos
los <gente> son ladrones
gli <popoli> sono pigri
gli <popoli> sono ladri
i <popoli> sono ladri
os <povos> são preguiçosos
os <povos> são burros
os <povos> são ladrões
";
