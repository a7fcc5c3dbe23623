"""Abbreviations that a sentence goes on behind, by language, without their last full stop.

`sentencex` knows many; these are common ones that it cuts behind.  Those that end sentences as
often as not ("etc.", "usw.", "и т. д.") are left to it.
"""

# Whatever follows belongs to the same sentence.
_ALWAYS = {
    "ca": "sr sra srta dr dra prof st sta av avda aprox cf pàg",
    "cs": "např tj tzv tzn resp popř příp p pí dr prof doc ing mgr bc mudr judr ul nám tř č str"
    " cca",
    "da": "dr prof hr fr ca f.eks bl.a dvs d.v.s mht vedr nr jf evt inkl ekskl max min",
    "de": "z b bzw ca d h u a o evtl ggf inkl exkl zzgl max min mind hr fr dr prof ing dipl mag st"
    " vgl bspw sog nr bd abb tab kap ziff abs aufl hrsg tel geb verh gest allg insb zb dh ua",
    "el": "κ κα κος δρ καθ π χ πχ δηλ λ βλ σελ αρ οδ λεωφ",
    "en": "approx vs cf viz incl excl resp ca mr mrs ms mx dr prof rev hon st mt ft gen col capt lt"
    " sgt maj cmdr adm gov sen rep pres messrs mme mlle dept esp",
    "es": "sr sra sres sras srta d dña dr dra drs prof profa ud uds vd vds lic ing gral av avda c"
    " pág págs p pp núm núms vol vols art arts fig cap aprox máx mín ej ed tel tfno ee",
    "et": "hr pr dr prof nt s.o nr lk tn mnt ca",
    "fi": "hra rva tri prof esim ks mm ym ns nk n s nro ao",
    "fr": "m mm mme mmes mlle mlles me mgr dr pr prof st ste cf p pp vol art fig chap env av ap éd"
    " max min tél no bd boul pl ex c.-à-d ca apr réf",
    "hr": "g gđa gđica dr prof npr tj tzv ul br str god sv",
    "hu": "dr prof ifj id özv pl ún ill kb tel u",
    "it": "sig sigg sig.ra sig.na sigra dott dott.ssa dr dr.ssa prof prof.ssa ing avv arch geom rag"
    " on sen mons pag pagg p pp n nn vol voll art artt fig figg cap capp es ca cfr cf max min tel"
    " c.so v.le p.zza ss v",
    "lt": "p dr prof pvz t.y vad g al pr nr psl",
    "lv": "dr prof piem t.i u.c kgs kdze nr lpp iel",
    "nl": "dhr mevr mw dr drs ir ing prof mr ds st bijv bv ca d.w.z o.a m.b.t i.p.v t.o.v i.v.m"
    " m.a.w z.g nr nrs blz p pp art afb fig hfst vgl max min incl excl evt resp tel",
    "no": "dr prof hr fr ca f.eks bl.a dvs d.v.s mht vedr nr jf evt inkl ekskl maks min",
    "pl": "np tj tzn tzw m.in prof dr hab inż mgr lek ks św ul al pl os nr str s t rys tab art ust"
    " pkt godz tel im gen płk ok ww wg por zob min maks",
    "pt": "sr sra srs sras srta dr dra drs prof profa exmo exma eng arq pe d av r pça tv pág págs p"
    " pp n nº núm vol art arts fig cap aprox máx mín ex tel obs",
    "ro": "dl dna dr prof ing str nr bd pag p ex cca sf art",
    "ru": "ул пр просп пл пер д кв корп стр тел т.е т.к т.н напр см ср рис табл гл ст п пп им проф"
    " акад доц гр тыс мин макс прим",
    "sk": "napr tj tzv tzn resp p dr prof doc ing mgr ul nám č str cca sv",
    "sl": "g ga gdč dr prof npr tj t.i oz ul št str sv",
    "sv": "dr prof hr fr ca t.ex bl.a dvs d.v.s m.fl s.k nr jfr ev inkl exkl max min kl st",
    "tr": "dr prof doç av sn bay bn sk cad mah no örn vb yy bkz",
    "uk": "вул пр просп пл пров буд кв корп стор тел т.зв напр див пор рис табл гл ст п пп ім проф"
    " акад доц гр тис хв макс мін",
}
# Only a number that follows belongs to the same sentence.
_BEFORE_NUMBERS = (
    "vol vols no nos nr p pp fig figs eq eqs sec secs ch chap chaps art arts max min ver v rev tab"
    " app apt rm ref refs jan feb mar apr jun jul aug sep sept oct okt nov dec dez cap pos abs"
    " bd str kap п с т ст рис табл № г"
)

ABBREVIATIONS = {
    language: frozenset(words.casefold().split()) for language, words in _ALWAYS.items()
}
BEFORE_NUMBERS = frozenset(_BEFORE_NUMBERS.casefold().split())
SPLIT_LIKE = {"bs": "hr", "gsw": "de", "nb": "no", "nn": "no", "sr": "hr", "yue": "zh"}
"""Languages whose abbreviations are those of another one."""
