"""Lists of invitees as people paste them, with the rows that every reader finds in them.

The console's reader (Chromium) and the command line's reader (Python) are tested with the same cases.
"""

from dataclasses import dataclass
from typing import Final

MEMBER, ADMIN, OWNER = "member", "admin", "owner"


@dataclass(frozen=True)
class ListRow:
    """A row: the line on which it begins, its cells, and the reason for which it cannot be used."""

    line: int
    email: str
    role: str = ""
    message: str = ""
    locale: str = ""
    fault: str = ""


@dataclass(frozen=True)
class ListCase:
    """A list with its rows. `notes` are the name of the column of addresses, the names of unused columns, and the number of
    rows that are left out.
    """

    name: str
    text: str
    rows: tuple[ListRow, ...]
    notes: tuple[str, tuple[str, ...], int] | None = None

    def __str__(self) -> str:
        return self.name


ADA, BOB = "ada@example.com", "bob@example.com"
_TWO: Final = (ListRow(1, ADA), ListRow(1, BOB))
_TWO_LINES: Final = (ListRow(1, ADA), ListRow(2, BOB))
_BELOW_A_HEADER: Final = (ListRow(2, ADA), ListRow(3, BOB))

CASES: Final = (
    # Bare addresses.
    ListCase("lines", f"{ADA}\n{BOB}\n", _TWO_LINES),
    ListCase("lines of Windows and of old Macs", f"{ADA}\r\n{BOB}\r", _TWO_LINES),
    ListCase("blank lines", f"\n{ADA}\n \t\n\n{BOB}\n", (ListRow(2, ADA), ListRow(5, BOB))),
    ListCase("commas", f"{ADA}, {BOB},", _TWO),
    ListCase("semicolons", f"{ADA}; {BOB};", _TWO),
    ListCase("blanks", f"  {ADA}   {BOB}  ", _TWO),
    ListCase("tabs", f"{ADA}\t{BOB}", _TWO),
    ListCase(
        "commas, semicolons and blanks",
        f"{ADA}, {BOB}; cy@example.com di@example.com",
        (
            *_TWO,
            ListRow(1, "cy@example.com"),
            ListRow(1, "di@example.com"),
        ),
    ),
    ListCase("mailto", f"mailto:{ADA}\nMAILTO:{BOB}", _TWO_LINES),
    ListCase("angle brackets", f"<{ADA}>\n< {BOB} >", _TWO_LINES),
    ListCase("angle brackets on one line", f"<{ADA}>, <{BOB}>", _TWO),
    ListCase("zero-width and directional characters", f"\u200b{ADA}\u200b\n\u202a{BOB}\u202c\n", _TWO_LINES),
    ListCase("isolates, marks and joiners", f"\u2068{ADA}\u2069, \u200e\u200f{BOB}\u2060\u200d", _TWO),
    ListCase("invisible characters in angle brackets", f"Ada <\u200b{ADA}\u200e>; Bob <\u2068{BOB}\u2069>", _TWO),
    ListCase("no-break and ideographic spaces", f"\u00a0{ADA}\u00a0\n\u3000{BOB}\u202f", _TWO_LINES),
    ListCase("no-break spaces between addresses", f"{ADA}\u00a0{BOB}", _TWO),
    ListCase("a byte order mark", f"\ufeff{ADA}\n{BOB}", _TWO_LINES),
    ListCase(
        "an invisible character inside",
        f"ad\u200ba@example.com\n{BOB}",
        (ListRow(1, "ad\u200ba@example.com", fault="invisible"), ListRow(2, BOB)),
    ),
    ListCase(
        "an invisible character between addresses",
        f"{ADA}\u200b{BOB}",
        (ListRow(1, f"{ADA}\u200b{BOB}", fault="invisible"),),
    ),
    ListCase(
        "an invisible character in a domain",
        "a@exam\u00adple.com",
        (ListRow(1, "a@exam\u00adple.com", fault="invisible"),),
    ),
    ListCase("a blank inside", "ada lovelace@example.com", (ListRow(1, "ada lovelace@example.com"),)),
    ListCase("quoted addresses", f'"{ADA}","{BOB}"', _TWO),
    ListCase(
        "no address",
        f"{ADA}\nnot an address\nlast",
        (
            ListRow(1, ADA),
            ListRow(2, "not an address"),
            ListRow(3, "last"),
        ),
    ),
    # Recipients, as mail programs copy them.
    ListCase("Outlook", f'"Smith, Alice" <{ADA}>; "Jones, Bob" <{BOB}>', _TWO),
    ListCase("Outlook without quotation marks", f"Smith, Alice <{ADA}>; Jones, Bob <{BOB}>", _TWO),
    ListCase("Outlook on several lines", f"Smith, Alice <{ADA}>;\n Jones, Bob <{BOB}>;\n", _TWO_LINES),
    ListCase("Outlook with commas", f"Smith, Alice <{ADA}>, Jones, Bob <{BOB}>", _TWO),
    ListCase("one recipient", f"Smith, Alice <{ADA}>", (ListRow(1, ADA),)),
    ListCase("names that are addresses", f'"{ADA}" <{ADA}>; "{BOB}" <{BOB}>', _TWO),
    ListCase("names between apostrophes", f"'Alice Smith' <{ADA}>; '{BOB}' <{BOB}>", _TWO),
    ListCase("names that are bare addresses", f"{ADA} <{ADA}>; {BOB}", _TWO),
    ListCase("a bare address before a name", f"{ADA} Bob <{BOB}>", _TWO),
    ListCase("names that are roles", f"Admin <{ADA}>, Owner <{BOB}>", _TWO),
    ListCase("a line of a mail's header", f"To: Alice <{ADA}>, Bob <{BOB}>", _TWO),
    ListCase("quotation marks inside a quoted name", f'"Smith, \\"Ali\\"" <{ADA}>; {BOB}', _TWO),
    ListCase("a quotation mark around a part of a name", f'Alice "Ali" Smith <{ADA}>; Bob <{BOB}>', _TWO),
    ListCase(
        "Outlook, one in a line, with commas at the ends", f'"Smith, Alice" <{ADA}>,\n"Jones, Bob" <{BOB}>,', _TWO_LINES
    ),
    ListCase("Gmail", f"Ada Lovelace <{ADA}>, Bob <{BOB}>", _TWO),
    ListCase("recipients without a separator", f"Ada <{ADA}> Bob <{BOB}>", _TWO),
    ListCase("names and bare addresses", f'{ADA}, "Jones, Bob" <{BOB}>', _TWO),
    ListCase("bare addresses after names", f"Ada <{ADA}>; {BOB}", _TWO),
    # Rows without a header: the address first, or names first.
    ListCase(
        "address, role, message, language",
        f"{ADA},admin,Hello,de\n{BOB}",
        (
            ListRow(1, ADA, ADMIN, "Hello", "de"),
            ListRow(2, BOB),
        ),
    ),
    ListCase(
        "a later line names the separator",
        f"{ADA}\n{BOB};admin;Hi",
        (
            ListRow(1, ADA),
            ListRow(2, BOB, ADMIN, "Hi"),
        ),
    ),
    ListCase("name first", f"Ada Lovelace,{ADA}\nBob,{BOB}", _TWO_LINES),
    ListCase(
        "two names first", f"Ada,Lovelace,{ADA}\nBob,Jones,{BOB},admin", (ListRow(1, ADA), ListRow(2, BOB, ADMIN))
    ),
    ListCase("name first, with semicolons and a comma inside", f"Lovelace, Ada;{ADA}\nJones, Bob;{BOB}", _TWO_LINES),
    ListCase(
        "name first, from a spreadsheet",
        f"Ada Lovelace\t{ADA}\tadmin\nBob\t{BOB}\t",
        (
            ListRow(1, ADA, ADMIN),
            ListRow(2, BOB),
        ),
    ),
    ListCase("name first, and a row without an address", f"Ada,{ADA}\nBob,\n", (ListRow(1, ADA), ListRow(2, "Bob"))),
    ListCase(
        "name and address in one cell",
        f'"Lovelace, Ada <{ADA}>",admin\nBob <{BOB}>,member',
        (
            ListRow(1, ADA, ADMIN),
            ListRow(2, BOB, MEMBER),
        ),
    ),
    ListCase(
        "a quoted name before the address of a cell",
        f'"Lovelace, Ada" <{ADA}>,admin,"Hi, Ada"',
        (ListRow(1, ADA, ADMIN, "Hi, Ada"),),
    ),
    ListCase(
        "an address in a message",
        f'{ADA},member,"Write to <info@example.com>"',
        (ListRow(1, ADA, MEMBER, "Write to <info@example.com>"),),
    ),
    ListCase(
        "an address in a message without quotation marks",
        f"{ADA},member,Write to <info@example.com>\n{BOB},,Write to <info@example.com>",
        (
            ListRow(1, ADA, MEMBER, "Write to <info@example.com>"),
            ListRow(2, BOB, "", "Write to <info@example.com>"),
        ),
    ),
    ListCase("the role first", f"admin,{ADA}", (ListRow(1, "admin", ADA),)),
    ListCase(
        "more cells than columns without a header",
        f"{ADA},member,Hi,de,you\n{BOB}",
        (ListRow(1, f"{ADA},member,Hi,de,you", fault="cells"), ListRow(2, BOB)),
    ),
    ListCase("an inch mark in a name", f'24" monitor,{ADA}\nBob,{BOB}', _TWO_LINES),
    ListCase(
        "recipients above rows",
        f'"Smith, Alice" <{ADA}>; "Jones, Bob" <{BOB}>\nCy,cy@example.com,admin,"Hi; there"\ndi@example.com;admin;Hi, you',
        (
            *_TWO,
            ListRow(2, "cy@example.com", ADMIN, "Hi; there"),
            ListRow(3, "di@example.com", ADMIN, "Hi, you"),
        ),
    ),
    # RFC 4180: quotation marks, doubled ones, separators and line breaks inside.
    ListCase(
        "doubled quotation marks",
        f'{ADA},,"We call it ""the den"", come"\n{BOB},admin',
        (
            ListRow(1, ADA, "", 'We call it "the den", come'),
            ListRow(2, BOB, ADMIN),
        ),
    ),
    ListCase(
        "a quotation mark after a comma and a blank",
        f'{ADA},,"She said, ""hi"", and left"',
        (ListRow(1, ADA, "", 'She said, "hi", and left'),),
    ),
    ListCase(
        "line breaks in a cell",
        f'{ADA},,"Hello,\r\nyou ""two"".\n\nCome"\r\n{BOB}',
        (
            ListRow(1, ADA, "", 'Hello,\nyou "two".\n\nCome'),
            ListRow(5, BOB),
        ),
    ),
    ListCase(
        "a line break behind the quotation mark",
        f'{ADA},,"We call it ""the den"", come\n"\n{BOB}',
        (
            ListRow(1, ADA, "", 'We call it "the den", come'),
            ListRow(3, BOB),
        ),
    ),
    ListCase("blanks around quoted cells", f'{ADA} , "admin" , "Hi, you" ', (ListRow(1, ADA, ADMIN, "Hi, you"),)),
    ListCase("empty quoted cells", f'"{ADA}","","",""', (ListRow(1, ADA),)),
    ListCase(
        "an unclosed quotation mark",
        f'{ADA},,"Hello\n{BOB}',
        (
            ListRow(1, f'{ADA},,"Hello', fault="quotes"),
            ListRow(2, BOB),
        ),
    ),
    ListCase(
        "an unclosed quotation mark before a quoted cell",
        f'cy@example.com,"open\n{ADA}\n{BOB},,"ok"',
        (
            ListRow(1, 'cy@example.com,"open', fault="quotes"),
            ListRow(2, ADA),
            ListRow(3, BOB, "", "ok"),
        ),
    ),
    ListCase(
        "text after a quotation mark",
        f'"Ada" Lovelace,{ADA}\nBob,{BOB}',
        (
            ListRow(1, f'"Ada" Lovelace,{ADA}', fault="quotes"),
            ListRow(2, BOB),
        ),
    ),
    # Headers.
    ListCase("a header of one column", f"email\n{ADA};admin\n{BOB}", (ListRow(2, ADA, ADMIN), ListRow(3, BOB))),
    ListCase(
        "more cells than columns",
        f"email,role,message\n{ADA},,Hi, you\n{BOB},,Hi",
        (ListRow(2, f"{ADA},,Hi, you", fault="cells"), ListRow(3, BOB, "", "Hi")),
    ),
    ListCase(
        "an emoji at the end of a message",
        f"email,message\n{ADA},Welcome \u2764\ufe0f\n{BOB},\u200fשלום\u200f",
        (ListRow(2, ADA, "", "Welcome \u2764\ufe0f"), ListRow(3, BOB, "", "\u200fשלום\u200f")),
    ),
    ListCase(
        "Google Contacts of an earlier year",
        (
            "Name,Given Name,Notes,Language,E-mail 1 - Type,E-mail 1 - Value,E-mail 2 - Type,E-mail 2 - Value\n"
            f"Ada,Ada,,English,* ,,Home,{ADA}\nBob,Bob,,,* Work,{BOB}:::bob@old.example,,\n"
        ),
        _BELOW_A_HEADER,
        ("E-mail 1 - Value", (), 0),
    ),
    ListCase(
        "a header",
        f"email,role,message,locale\n{ADA},admin,Hi,fr\n{BOB},,,",
        (
            ListRow(2, ADA, ADMIN, "Hi", "fr"),
            ListRow(3, BOB),
        ),
    ),
    ListCase(
        "a header in another order",
        f"Nachricht;Name;E-Mail;Rolle\nHi;Ada;{ADA};admin\n;Bob;{BOB};",
        (
            ListRow(2, ADA, ADMIN, "Hi"),
            ListRow(3, BOB),
        ),
    ),
    ListCase("a French header", f"Nom;Adresse e-mail;Rôle\nAda;{ADA};\nBob;{BOB};", _BELOW_A_HEADER),
    ListCase("a Spanish header", f"Nombre,Correo electrónico\nAda,{ADA}\nBob,{BOB}", _BELOW_A_HEADER),
    ListCase(
        "a separator named by a spreadsheet",
        f"sep=;\r\nemail;role\r\n{ADA};admin\r\n{BOB};",
        (
            ListRow(3, ADA, ADMIN),
            ListRow(4, BOB),
        ),
    ),
    ListCase("a separator named in quotation marks", f'"sep=\t"\n{ADA}\tadmin', (ListRow(2, ADA, ADMIN),)),
    ListCase(
        "a header of names with commas", f"Name;E-Mail-Adresse\nLovelace, Ada;{ADA}\nJones, Bob;{BOB}", _BELOW_A_HEADER
    ),
    ListCase(
        "a postal address",
        f"Name,Address,Email\nAda,1 Road,{ADA}\nBob,2 Road,{BOB}",
        _BELOW_A_HEADER,
        ("Email", ("Name", "Address"), 0),
    ),
    ListCase(
        "Google Workspace",
        (
            "First Name [Required],Last Name [Required],Email Address [Required],Password [Required],Org Unit Path [Required],"
            "Recovery Email,Work Secondary Email,Employee ID\n"
            f"Ada,Lovelace,{ADA},,/,other@example.net,,7\nBob,Jones,{BOB},,/Sales,,,8\n"
        ),
        _BELOW_A_HEADER,
        ("Email Address [Required]", (), 0),
    ),
    ListCase(
        "Google Contacts",
        (
            "First Name,Middle Name,Last Name,Nickname,Notes,Labels,E-mail 1 - Label,E-mail 1 - Value,E-mail 2 - Value,Phone 1 - Value\n"
            f'Ada,,Lovelace,,"Likes ""engines"", poetry\nand maths",* myContacts,* Work,{ADA} ::: ada@old.example,,\n'
            f"Bob,,Jones,,,* myContacts,Home,{BOB},bob@old.example,+49 30 1\n"
            "Cy,,,,,* myContacts,,,,\n"
        ),
        (ListRow(2, ADA), ListRow(4, BOB)),
        ("E-mail 1 - Value", (), 1),
    ),
    ListCase(
        "Outlook's contacts",
        (
            '"First Name","Last Name","E-mail Address","E-mail 2 Address","Notes"\n'
            f'"Ada","Lovelace","{ADA}","",""\n"Bob","Jones","{BOB}","bob@old.example","a, b"\n'
        ),
        _BELOW_A_HEADER,
    ),
    ListCase(
        "Outlook's contacts in German",
        (f'"Vorname","Nachname","E-Mail-Adresse"\n"Ada","Lovelace","{ADA}"\n"Bob","Jones","{BOB}"\n'),
        _BELOW_A_HEADER,
    ),
    ListCase(
        "Thunderbird",
        f"First Name,Last Name,Display Name,Primary Email\nAda,L,Ada L,{ADA}\nBob,J,Bob,{BOB}",
        _BELOW_A_HEADER,
    ),
    ListCase(
        "names and mailto below a header",
        f'name,email\n"Lovelace, Ada","Ada <{ADA}>"\nBob,mailto:{BOB}',
        _BELOW_A_HEADER,
    ),
    ListCase(
        "apostrophes of an export",
        "email,message\n'+tag@example.com,'=1+1\n",
        (ListRow(2, "+tag@example.com", "", "=1+1"),),
    ),
)
