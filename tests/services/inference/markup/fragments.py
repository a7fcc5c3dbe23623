"""HTML of all shapes: fragments written by hand, and a generator of more."""

import random

WELL_FORMED = [
    "<p>Hello world.</p>",
    "<p>Hello <b>bold</b> world.</p>",
    "<p>Hello <b>bold <i>and italic</i></b> world.</p>",
    "<b>All of it is bold.</b>",
    "<p><b>Bold sentence. Another</b> one, half bold.</p>",
    "<p><i>One. <b>Two. Three</b> is. Four</i> is five.</p>",
    "<ul><li>One item</li><li>Another <em>item</em></li></ul>",
    "<ol>\n  <li>First</li>\n  <li>A <a href='#'>link</a>\n    <ul><li>I</li></ul>\n  </li>\n</ol>",
    "<table><thead><tr><th>Name</th></tr></thead><tbody><tr><td>3 kB</td></tr></tbody></table>",
    "<table><tr><td><p>Text in a <b>cell</b></p></td><td></td></tr></table>",
    '<p>A <a href="https://a.example/?a=1&amp;b=2" title="x > y">link</a> inside.</p>',
    "<p>Single <a href='/x' data-a='\"'>quotes</a> and <a href=/y>none</a>.</p>",
    '<img src="a.png" alt="A picture"> after a picture',
    'Before <img src="a.png" alt="A picture"/> and after a picture',
    "Line one<br>Line two<br/>Line three<br />",
    "<p>Hard <wbr>break super<wbr>cali<wbr>fragilistic</p>",
    "<!-- a comment --><p>Text <!-- in the middle --> goes on.</p><!-- end -->",
    "<p>A comment with <!-- <b>tags</b> & more --> inside.</p>",
    "<!DOCTYPE html>\n<html><head><title>A title</title></head><body><p>Body.</p></body></html>",
    "<script>if (a < b && c > d) { alert('<p>no</p>'); }</script><p>Text.</p>",
    "<style>p > b { color: red }</style><p>Text.</p>",
    "<p>Use <code>apt-get install</code> to <kbd>Enter</kbd> the <var>x</var>.</p>",
    "<pre>line one\n  line two\n</pre>",
    "<pre><code>int main(void) { return 0; }</code></pre>",
    '<p translate="no">Do not touch this.</p><p>But this.</p>',
    '<p>Keep <span translate="no">Seqway Pro</span> as it is.</p>',
    '<p>Keep <span class="brand notranslate">Seqway Pro</span> as it is.</p>',
    '<div translate="no">No <p translate="yes">but yes here</p> and no.</div>',
    "<p>Fish &amp; chips &lt;b&gt; &quot;quoted&quot; &copy; 2026 &#8212; &#x2014; it&#39;s</p>",
    "<p>Ten&nbsp;kilometres&nbsp;away, co&shy;operation&thinsp;!</p>",
    "<p>&nbsp;</p><p>&nbsp;Text&nbsp;</p>",
    "<p>Escaped &lt;script&gt;alert(1)&lt;/script&gt; stays so.</p>",
    "<p>An <b></b>empty element and <i> </i>a blank one.</p>",
    "<p><b>Two</b> <i>neighbours</i></p>",
    "<p><b>Two</b><i>glued</i></p>",
    "<p>H<sub>2</sub>O and E = mc<sup>2</sup>.</p>",
    "<p>White    space\n\tand   lines <b>  inside  </b>  kept.</p>",
    "<p>Press <button type=button disabled>OK</button> to go on.</p>",
    "<p>Name: <input type=text name=n placeholder='Your name'> and go.</p>",
    "<select><option value=1 selected>One</option><option value=2>Two</option></select>",
    "<textarea>Not <b>markup</b> here</textarea><p>Text.</p>",
    "<svg width=1><path d='M0 0'/><text>t</text></svg> icon and text",
    "<a href=x><svg><path d='M'/></svg> Home</a> page",
    "<h1>Title</h1>Text without a paragraph. <h2>Next</h2>More text.",
    "<dl><dt>Term</dt><dd>Its meaning, <dfn>defined</dfn>.</dd></dl>",
    "<blockquote><p>Quoted text.</p><footer>Someone</footer></blockquote>",
    "<p>Custom <x-widget data-id=3>element with text</x-widget> inline.</p>",
    "<P>Upper <B CLASS=X>case</B> tags</P>",
    "<p>Ruby <ruby>漢<rt>kan</rt></ruby> text.</p>",
    "<span>A</span><span>B</span><span>C</span>",
    "<p>Hello {name}, you have <b>%d</b> new messages at https://a.example/x?y=1.</p>",
    "<a href='a'>One</a>, <a href='b'>two</a>, <a href='c'>three</a> and <a href='d'>four</a>.",
    "<div><div><div>Deep <span><span><span>text</span></span></span></div></div></div>",
    "<p>" + "<b>" * 30 + "deep" + "</b>" * 30 + " and shallow</p>",
    "<details><summary>More</summary>Hidden text.</details>",
    "<video controls><source src=a.mp4>No video.</video>",
    "<math><mi>x</mi><mo>=</mo><mn>1</mn></math> is an equation.",
    "<p>Visit <a href='https://a.example'>https://a.example</a> now.</p>",
    "<noscript><p>Turn it on.</p></noscript>",
    "",
    "   \n ",
]

BROKEN = [
    "<p>Never closed <b>bold",
    "<p>One<p>Two<p>Three",
    "<ul><li>One<li>Two <b>bold</ul>",
    "</b>Closed before it opens<b>",
    "<b><i>Crossing</b> tags</i> here.",
    "<b>a <i>b <u>c</b> d</i> e</u> f",
    "a < b and c > d, 1<2",
    "a <b and no end",
    '<a href="never closed>text</a> more',
    "<a href='x'title='y'>no space</a> between",
    "<a <b>tag in a tag</b> text",
    "text with </> nothing",
    "text </ b> odd",
    "<!-- never closed <b>text</b>",
    "<!-->empty<!--->comments<!---->",
    "<!bogus comment> text",
    "<?php echo '<b>'; ?> text <?xml bogus> more",
    "<![CDATA[ <b>not</b> in HTML ]]> text",
    "<p attr=>text <b =x>b</b></p>",
    "<script>never closed <b>text",
    "<div><span>Block in <div>inline</div> element</span></div>",
    "<table><tr><td>One<td>Two<tr><td>Three</table>",
    "&amp &ampersand; &nosuch; &#xZZ; &#0; &#99999999; & AT&T &",
    "<p/>self-closed<b/>text</b>",
    "<B>Mixed</b> <I>case</i>",
    "<b<i>odd</b<i>",
    "<1>not a tag</1> <-x> <$y>",
    "<p>NUL \x00 and <b\x00>control</b> \x07 bells</p>",
    "<title>Never closed title <b>x</b>",
    "<span translate=no>Never closed no",
    "<a\nhref='x'\n>tag over\nlines</a\n>",
]

_INLINE = ["b", "i", "em", "a", "span", "u", "sup", "code", "x-y", "kbd"]
_BLOCK = ["p", "div", "li", "td", "h2", "blockquote"]
_TEXTS = [
    "word", "two words", "A sentence. Another one", " space ", "\n", "{name}", "%s", "5 &lt; 6",
    "caf&eacute;", "&nbsp;", " https://a.example/b ", "it's", "1,000", "漢字。仮名", "...", "",
]  # fmt: skip
_POINTS = ["<img src='a.png'>", "<!-- note -->", "<wbr>", "<br>", '<input value="<>">']


def well_formed(chance: random.Random, depth: int = 0) -> str:
    """A random fragment in which every tag has its partner."""
    parts = []
    for _ in range(chance.randrange(1, 5)):
        kind = chance.random()
        if depth > 4 or kind < 0.4:
            parts.append(chance.choice(_TEXTS))
        elif kind < 0.5:
            parts.append(chance.choice(_POINTS))
        elif kind < 0.8:
            name = chance.choice(_INLINE)
            parts.append(
                f"<{name} id={chance.randrange(99)}>{well_formed(chance, depth + 1)}</{name}>"
            )
        else:
            name = chance.choice(_BLOCK)
            parts.append(f"<{name}>{well_formed(chance, depth + 1)}</{name}>\n")
    return chance.choice(["", " "]).join(parts)


def broken(chance: random.Random) -> str:
    """A random fragment out of which pieces were cut and moved."""
    text = well_formed(chance) + well_formed(chance)
    for _ in range(chance.randrange(1, 5)):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.randrange(8))
        text = text[:start] + chance.choice(["", "<", "</b>", "<i>", ">"]) + text[end:]
    return text
