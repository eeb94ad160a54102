//! The words that every text of a language is full of and that say nothing about its subject.
//!
//! They tell the language of a text, and the topic model skips them. Weekdays and months are among
//! them where their names are nothing else.

/// Languages that the program knows well, and their stop words: those of articles, pronouns,
/// prepositions, conjunctions, auxiliary verbs and adverbs that have no subject.
pub const STOP_WORDS: [(&str, &str); 9] = [
    ("en", ENGLISH),
    ("de", GERMAN),
    ("fr", FRENCH),
    ("es", SPANISH),
    ("pt", PORTUGUESE),
    ("ru", RUSSIAN),
    ("tr", TURKISH),
    ("ar", ARABIC),
    ("zh", CHINESE),
];

/// Common words of languages that are taken for one of those otherwise.
pub const NEIGHBOURS: [(&str, &str); 27] = [
    (
        "nl",
        "de het een van en dat niet met zijn voor aan er op te wordt werd ook naar bij uit maar heeft hebben deze dit door over om als nog zich meer geen wel zal kan",
    ),
    (
        "af",
        "die van en het nie met vir is sy wat op om te dat hulle ook sal kan deur word 'n was aan by hy as",
    ),
    (
        "da",
        "og det er en af til på med for den ikke som de har et var fra vil blev kan men efter om også eller skal siger over der",
    ),
    (
        "nb",
        "og det er en av til på med for den ikke som de har et var fra vil ble kan men etter om også eller skal sier over å",
    ),
    (
        "sv",
        "och det är en av till på med för den inte som de har ett var från vill blev kan men efter om också eller ska säger över att",
    ),
    (
        "it",
        "il di che è la per un in con non una del della le si dei da sono ha al gli più anche nel alla come ma lo delle i questo stato hanno dal essere dopo",
    ),
    (
        "ca",
        "el de la que i els a les en un per amb una del no és al ha més dels pel s'ha com han aquest seva també però va ser des són",
    ),
    (
        "gl",
        "o de a que e os as do da en un unha no na por para con non se dos das ao máis foi pola polo como pero tamén ten este esta",
    ),
    (
        "ro",
        "de și în la a cu pe din că care pentru nu o un mai sunt este au fost se fi al prin după dar sau ce lui ale într",
    ),
    (
        "sw",
        "ya wa za na kwa katika kwamba cha hiyo yake baada hata kuwa pia watu alisema amesema serikali la ni wakati huo",
    ),
    ("so", "oo ka waa iyo ku soo ee ah uu ayaa lagu waxaa waxay in la u ay si"),
    (
        "id",
        "yang dan di dengan untuk dari pada dalam ini itu tidak akan oleh ke juga adalah telah karena bisa ada sebagai atau tersebut",
    ),
    (
        "pl",
        "w i na z się że do nie jest to od o za po jak przez ale dla oraz są tym co ma był które który jego",
    ),
    (
        "cs",
        "a v na se že je z do s o to i ve k za by pro od po jako která který jsou není ale také jeho",
    ),
    (
        "uk",
        "і в на у що з не до та за як про від це для є його було також після може бути або які який але під якщо",
    ),
    (
        "be",
        "і ў на у што з не да па як пра ад гэта для яго было таксама пасля можа быць або якія які але пад",
    ),
    (
        "bg",
        "и на в във за да се от че с със е не по са което които като ще но до към след при това той беше или тази който бе има",
    ),
    (
        "sr",
        "и у је да на се за од са који који не су као што из до које али или ће би то после због",
    ),
    (
        "mk",
        "и на во да се за од е со не што ќе кои како но до по која или беше има овој тоа според",
    ),
    ("kk", "және мен бұл деп үшін болып бар да де бойынша туралы ол осы еді болады"),
    (
        "az",
        "və bu bir ilə üçün də da ki olan edib həm daha ən isə olub bildirib sonra onun deyib ilə görə",
    ),
    ("fa", "و در به از که این را با است برای آن یک خود تا بر های هم نیز شد کرد شده اند می ها"),
    ("ur", "کے کی میں کا سے اور نے کو ہے پر کہ یہ ہیں اس تھا کر بھی ایک نہیں وہ تو گیا"),
    ("ku", "û li di ku bi ji de ya yên ên re jî ev hat kir dike wê wî ye in"),
    ("ja", "の に は を た が で て と し れ さ い も な る か ら ま す こ"),
    ("vi", "và của là có các cho với được trong một những đã này không người khi đến về từ ra như"),
    ("tl", "ng sa ang na mga ay at para ito si ni kay hindi ko niya siya kung ngunit nang"),
];

/// Characters that Chinese text is full of beside its stop words. They are parts of words that say
/// something, so the topic model reads them.
pub const CHINESE_CHARACTERS: &str = "一 不 有 人 大 中 上 下 國 国 個 个 年 月 日 為 为 以 會 会 時 时 對 对 出 來 来 到 要 可 後 后 將 将 從 从 被 市 民 無 无 政 府";

// What is left of a contraction (`don`, `ll`) is here too. `us` is not: it is mostly the country.
const ENGLISH: &str = "
    a about above across after again against all almost along already also although always am
    among an and another any anyone anything are aren around as at away back be became because
    become been before began behind being below between both but by called came can cannot come
    comes could couldn d day days did didn do does doesn doing don done down during each either
    else enough even ever every everyone everything far few for from further gave get gets getting
    give given go goes going gone got had hadn has hasn have haven having he her here hers herself
    him himself his how however i if in instead into is isn it its itself just keep know last
    later least less let like likely ll look made make makes making many may maybe me might mine
    more most mr mrs ms much must my myself near need never new next no nor not nothing now of off
    often on once one ones only onto or other others our ours ourselves out over own per perhaps
    put quite rather re really s said same saw say saying says see seem seemed seems seen several
    shall she should shouldn since so some someone something soon still such t take taken takes
    taking tell than that the their theirs them themselves then there therefore these they thing
    things think this those though three through thus to today together told too took toward
    towards two under until up upon use used ve very via want was wasn way we week well went were
    weren what whatever when where whether which while who whole whom whose why will with within
    without won would wouldn year years yes yesterday yet you your yours yourself monday tuesday
    wednesday thursday friday saturday sunday january february march april june july august
    september october november december
";

const GERMAN: &str = "
    der die das den dem des ein eine einer eines einem einen und oder aber auch als wie wenn
    dass daß ob weil denn sondern doch nicht kein keine keinen keiner nur noch schon sehr mehr
    wieder immer so dann da hier dort nun jetzt in im an am auf aus bei beim mit nach von vom
    vor zu zum zur für durch gegen ohne um über unter zwischen bis seit während wegen ab ich du
    er sie es wir ihr man sich mich uns ihn ihm ihnen mein sein seine seiner seinen seinem ihre
    ihren ihrer ihrem unser dieser diese dieses diesem diesen jene welche welcher welches was
    wer wo warum ist sind war waren bin sei seien wäre wären gewesen wird werden wurde wurden
    worden würde würden hat haben hatte hatten habe hätte hätten kann können konnte konnten
    könnte könnten soll sollen sollte sollten muss müssen musste will wollen wollte wollten
    darf dürfen lassen lässt mag möchte laut rund etwa bereits sowie damit dabei daher dazu
    davon darauf allerdings jedoch zudem zuvor derzeit heute gestern morgen jahr jahre jahren
    jahres uhr tag tage tagen woche wochen monat monate sagte sagt gab gibt geht kommt machen
    macht alle allem allen aller alles andere anderen anderer einige einigen viel viele vielen
    ja nein gut ganz zwei drei erst ersten erste letzten selbst bzw montag dienstag mittwoch
    donnerstag freitag samstag sonntag januar jänner februar märz april mai juni juli august
    september oktober november dezember
";

const FRENCH: &str = "
    le la les un une des du de au aux et ou mais donc or ni car que qui quoi dont où ce cet
    cette ces ceux celle celui celles ça cela il elle ils elles on je tu nous vous me te se lui
    leur leurs son sa ses mon ma mes ton ta tes notre nos votre vos en dans par pour sur sous
    avec sans chez vers entre depuis pendant avant après contre selon lors dès jusqu à y ne pas
    plus moins très aussi bien encore déjà toujours jamais tout tous toute toutes même mêmes
    autre autres quel quelle quelques plusieurs est sont était étaient été être sera serait
    seront soit fut a ont avait avaient avoir aura aurait eu ai as fait faire font peut peuvent
    pourrait pouvait doit doivent devait va vont dit déclaré comme si quand alors ainsi afin
    cependant toutefois notamment parce lorsque puis ensuite ici là aujourd hui hier demain an
    ans année années jour jours mois semaine heures heure deux trois premier première dernier
    dernière nouveau nouvelle l d s n c j m t qu lire beaucoup peu trop rien lundi mardi
    mercredi jeudi vendredi samedi dimanche janvier février avril mai juin juillet août
    septembre octobre novembre décembre
";

const SPANISH: &str = "
    el la los las un una unos unas lo al del de y e o u ni pero sino que quien quienes cual
    cuales cuyo donde como cuando cuanto si porque pues aunque mientras en a ante bajo con
    contra desde durante entre hacia hasta para por según sin sobre tras se me te nos os le les
    su sus mi mis tu tus nuestro nuestra él ella ellos ellas yo usted ustedes este esta estos
    estas ese esa esos esas aquel aquella esto eso no sí ya más menos muy también tampoco
    además así aún todavía solo sólo siempre nunca bien mal hoy ayer mañana ahora antes después
    luego entonces aquí allí es son era eran fue fueron ser sido sea sean será serán sería está
    están estaba estaban estar ha han había habían haber hay hubo he hemos tiene tienen tenía
    tener puede pueden podría poder debe deben hace hacer hizo hecho va van ir dijo dice señaló
    todo toda todos todas otro otra otros otras cada mismo misma algún alguna algunos algunas
    mucho mucha muchos muchas poco tan tanto parte año años día días vez veces dos tres primer
    primera gran lunes martes miércoles jueves viernes sábado domingo enero febrero marzo abril
    mayo junio julio agosto septiembre octubre noviembre diciembre
";

const PORTUGUESE: &str = "
    o a os as um uma uns umas de do da dos das em no na nos nas ao à aos às por pelo pela pelos
    pelas para com sem sob sobre entre até desde após ante contra durante e ou mas nem porém
    que quem qual quais cujo onde como quando quanto se porque pois embora enquanto eu tu ele
    ela eles elas nós você vocês me te lhe lhes seu sua seus suas meu minha meus nosso nossa
    este esta estes estas esse essa esses essas isto isso aquele aquela aquilo neste nesta
    nesse nessa deste desta desse dessa não sim já mais menos muito muita muitos muitas também
    ainda só apenas sempre nunca bem hoje ontem amanhã agora antes depois então aqui ali assim
    além é são era eram foi foram ser sido seja sejam será serão seria está estão estava
    estavam estar há houve tem têm tinha tinham ter teve pode podem poderia poder deve devem
    faz fazer fez feito vai vão ir disse diz afirmou segundo todo toda todos todas outro outra
    outros outras cada mesmo mesma algum alguma alguns algumas tão tanto parte ano anos dia
    dias vez vezes dois duas três primeiro primeira grande segunda terça quarta quinta sexta
    sábado domingo feira janeiro fevereiro março abril maio junho julho agosto setembro outubro
    novembro dezembro
";

const RUSSIAN: &str = "
    и в во не на я что он она оно они мы вы ты с со как а но да или ли же бы по из изо за от
    ото до у к ко о об обо при для без над под перед после через между про около также тоже еще
    ещё уже только лишь даже если чтобы потому поэтому когда где куда откуда там тут здесь так
    этот эта это эти этого этой этом этих этим тот та то те того той том тех тем который
    которая которое которые которого которой котором которых которым которую его её ее их ему
    ей им ним них него нее неё ней мой свой своя свое свои своего своей своих своим свою наш
    ваш сам сама себя себе весь вся всё все всех всего всем был была было были быть есть будет
    будут является являются стал стала стало стали может могут можно нужно надо нет ни один
    одна одно два две три первый более менее очень чем кто чего кого кому чему год года году
    лет годы день дня время раз сегодня вчера завтра теперь сейчас тогда потом затем однако
    именно среди согласно сообщает сообщил заявил сказал словам понедельник вторник среду
    четверг пятницу субботу воскресенье января февраля марта апреля мая июня июля августа
    сентября октября ноября декабря
";

const TURKISH: &str = "
    ve ile bir bu şu o da de ki için gibi kadar daha en çok az ama ancak fakat veya ya ise ne
    mi mı mu mü her hiç bazı tüm bütün diğer başka aynı kendi kendisi ben sen biz siz onlar
    onun ona onu onların bunun buna bunu şöyle böyle öyle nasıl neden niçin nerede olan olarak
    oldu olduğu olduğunu olmak olması olacak olup olsa değil var yok vardı yoktu etti eden
    ederek edildi edilen etmek ettiği ettiğini yaptı yapılan yapan yapmak yaptığı dedi diye
    diyen söyledi belirtti ifade konuştu açıkladı göre sonra önce sırasında arasında üzerine
    üzerinde tarafından karşı doğru rağmen dolayı üzere beri içinde dışında birlikte ayrıca hem
    hatta bile sadece yalnızca artık şimdi bugün dün yarın yıl yılı yılında gün günü ay saat
    iki üç ilk son yeni iyi büyük bunlar şunlar bizim sizin bana sana eğer çünkü zaten
    pazartesi salı çarşamba perşembe cuma cumartesi pazar ocak şubat mart nisan mayıs haziran
    temmuz ağustos eylül ekim kasım aralık
";

const ARABIC: &str = "
    في من على إلى الى عن مع أن ان إن أو او ثم لا لم لن ما ماذا هل قد لقد كل بعض غير بين بعد قبل
    عند عندما حين حيث منذ خلال حول ضد تحت فوق أمام وراء دون حتى إذا اذا لو لكن ولكن بل أي اي
    هذا هذه هذين هؤلاء ذلك تلك الذي التي الذين اللذين اللتين اللاتي هو هي هم هما نحن أنا أنت
    كان كانت كانوا يكون تكون وكان وكانت ليس ليست أيضا أيضاً ايضا كما كذلك فقط مثل لدى له لها
    لهم به بها بهم فيه فيها منه منها منهم عليه عليها عليهم إليه إليها عنه عنها وهو وهي وهم وفي
    ومن وعلى وإلى والى وعن ومع وأن وان وإن ولا ولم وما وقد فقد وذلك وهذا وهذه والتي والذي بما
    مما عما لما فيما بأن بان لأن لان كيف متى أين اليوم أمس امس غدا الآن الان يوم عام سنة قال
    قالت وقال وقالت أكد وأكد أضاف وأضاف واضاف أوضح وأوضح أشار وأشار يتم تم وتم جدا نفس نفسه
    نفسها أكثر اكثر أقل أول اول الأول أحد احد عدة نحو إلا الا سوف مساء صباح الاثنين الثلاثاء
    الأربعاء الخميس الجمعة السبت الأحد يناير فبراير مارس ابريل أبريل مايو يونيو يوليو أغسطس
    سبتمبر أكتوبر نوفمبر ديسمبر
";

const CHINESE: &str = "
    的 了 是 在 和 與 与 也 就 都 而 及 這 这 那 之 於 于 但 或 並 并 他 她 它 們 们 我 你 沒 没 很 最 又 再 已 曾 還 还 卻 却 嗎 吗 呢 吧 啊
    着 其 此 該 该 嘅 係 喺 唔 咗 佢 啲 嗰 哋 咁 冇 嚟 乜
";
