//! The board's style: light and dark, narrow and wide.

use crate::board::html::Html;
use crate::board::view::{Appearance, Theme};

/// Pixels below which a row of the table is broken into lines.
const NARROW: u32 = 600;

pub(super) fn write(appearance: Appearance, html: &mut Html) {
    html.raw(ALL);
    match appearance.theme {
        Some(Theme::Light) => html.raw(".dayfly{").raw(LIGHT).raw("}"),
        Some(Theme::Dark) => html.raw(".dayfly{").raw(DARK).raw("}"),
        None => html
            .raw(".dayfly{")
            .raw(LIGHT)
            .raw("}@media(prefers-color-scheme:dark){.dayfly{")
            .raw(DARK)
            .raw("}}"),
    };
    match appearance.width {
        Some(..NARROW) => html.raw(LINES),
        Some(_) => html,
        None => html
            .raw(".dayfly{container-type:inline-size}@container(max-width:")
            .text(NARROW - 1)
            .raw("px){")
            .raw(LINES)
            .raw("}"),
    };
}

const LIGHT: &str = "color-scheme:light;--ink:#16191f;--soft:#5f6b7a;--line:#e3e7ec;--fill:#eef1f4;--link:#0b62b5;\
--good:#1a7f37;--bad:#c7222a;--warn:#8a5a00;--p1:#b6bec9;--p2:#e5a83b;--p3:#9a6dd7;--p4:#57b6b2;--p5:#2a7de1;--p6:#7d8998;--full:#c7222a;";

const DARK: &str = "color-scheme:dark;--ink:#dfe3e8;--soft:#98a3b1;--line:#2c3643;--fill:#232d39;--link:#6cb2f5;\
--good:#4cc26b;--bad:#ff7b7b;--warn:#e3b341;--p1:#566270;--p2:#c98f2b;--p3:#8f67cc;--p4:#3f9a96;--p5:#4493f0;--p6:#7d8998;--full:#e5484d;";

const ALL: &str = "\
.dayfly{color:var(--ink);font:13px/1.45 'Amazon Ember',-apple-system,'Segoe UI','Noto Sans',Helvetica,Arial,sans-serif;\
font-variant-numeric:tabular-nums;overflow-wrap:anywhere;padding:4px 12px 8px;box-sizing:border-box}\
.dayfly *{box-sizing:border-box}\
.dayfly a{color:var(--link);text-decoration:none}.dayfly a:hover{text-decoration:underline}\
.dayfly .soft,.dayfly footer{color:var(--soft)}.dayfly .soft a{color:inherit}\
.dayfly b{font-weight:600}.dayfly p{margin:8px 0 0}\
.dayfly h2{font-size:13px;font-weight:600;line-height:1.3;margin:20px 0 8px;padding:0 0 5px;\
border-bottom:1px solid var(--line)}.dayfly h2 small{font-size:11px;font-weight:400;color:var(--soft)}\
.dayfly footer{font-size:11px;margin-top:12px}.dayfly .empty{color:var(--soft);margin:0}\
.dayfly .figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(96px,1fr));gap:10px 12px}\
.dayfly .figures b{display:block;font-size:20px;line-height:1.3}.dayfly .figures span{font-size:12px}\
.dayfly .top{display:flex;justify-content:space-between;align-items:baseline;gap:4px 16px}\
.dayfly .who{min-width:0}.dayfly .who .soft{display:inline-block}.dayfly .num{flex:none;text-align:right;white-space:nowrap}\
.dayfly .job{font-weight:600}\
.dayfly .pill{display:inline-block;font-size:11px;line-height:16px;padding:0 7px;margin-right:8px;border-radius:8px;\
border:1px solid currentColor}\
.dayfly .good{color:var(--good)}.dayfly .bad{color:var(--bad)}.dayfly .warned,.dayfly .warn{color:var(--warn)}\
.dayfly .calm{color:var(--soft)}.dayfly .going{color:var(--link)}\
.dayfly .lives,.dayfly .waits{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,460px),1fr));gap:14px 32px}\
.dayfly .live{min-width:0}.dayfly .where{font-size:12px}.dayfly .whole{display:inline-block}\
.dayfly .bar{display:flex;gap:2px;height:8px;margin:6px 0 4px;border-radius:4px;overflow:hidden}\
.dayfly .bar i{flex:1 1 0;min-width:4px}\
.dayfly .legend{display:flex;flex-wrap:wrap;gap:0 14px;font-size:12px;color:var(--soft)}\
.dayfly .legend b{font-weight:400;color:var(--ink)}\
.dayfly .legend i{display:inline-block;width:8px;height:8px;border-radius:2px;margin-right:5px}\
.dayfly .p1{background:var(--p1)}.dayfly .p2{background:var(--p2)}.dayfly .p3{background:var(--p3)}\
.dayfly .p4{background:var(--p4)}.dayfly .p5{background:var(--p5)}.dayfly .p6{background:var(--p6)}\
.dayfly .waits{gap:6px 32px;margin-top:14px}\
.dayfly .gauges{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,260px),1fr));gap:14px 32px}\
.dayfly .gauge{min-width:0}.dayfly .gauge .soft{font-size:12px}\
.dayfly .track{position:relative;display:flex;height:8px;margin:5px 0 4px;border-radius:4px;overflow:hidden;background:var(--fill)}\
.dayfly .track .spent{background:var(--p5)}.dayfly .track .high{background:var(--p2)}.dayfly .track .full{background:var(--full)}\
.dayfly .track .reserved{background:repeating-linear-gradient(135deg,var(--p5) 0 2px,transparent 2px 5px)}\
.dayfly .track .high+.reserved{background:repeating-linear-gradient(135deg,var(--p2) 0 2px,transparent 2px 5px)}\
.dayfly .track u{position:absolute;top:0;bottom:0;width:1px;background:var(--soft);opacity:.5}\
.dayfly .without{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,260px),1fr));gap:2px 32px;margin-top:12px}\
.dayfly table{width:100%;table-layout:fixed;border-collapse:collapse}\
.dayfly th{font-size:12px;font-weight:400;color:var(--soft);text-align:left;padding:0 12px 4px 0}\
.dayfly td{vertical-align:top;padding:5px 12px 5px 0;border-top:1px solid var(--line)}\
.dayfly td .soft{font-size:12px}\
.dayfly .c1{width:104px}.dayfly .c3{width:172px}.dayfly .c4{width:74px}.dayfly .c5{width:80px}.dayfly .c6{width:66px}\
.dayfly .c7{width:82px;padding-right:0}\
.dayfly .c2,.dayfly .c2 .soft{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}\
.dayfly .c4,.dayfly .c5,.dayfly .c6,.dayfly .c7{text-align:right;white-space:nowrap}\
.dayfly td.c4,.dayfly td.c6,.dayfly td.c7{color:var(--soft)}\
.dayfly .dot{display:inline-block;width:8px;height:8px;border-radius:50%;margin-right:7px;background:currentColor}\
";

/// Breaks each row of the table into lines, with the cost below what it is for.
const LINES: &str = "\
.dayfly .lives{gap:18px}.dayfly .live .top{display:block}.dayfly .live .num{text-align:left}\
.dayfly table,.dayfly tbody{display:block}.dayfly thead{display:none}\
.dayfly tr{display:grid;grid-template-columns:minmax(0,1fr) auto;gap:0 12px;padding:7px 0;border-top:1px solid var(--line)}\
.dayfly tr:first-child{border-top:0;padding-top:0}\
.dayfly td{display:block;border:0;padding:0}\
.dayfly td.c1,.dayfly td.c3,.dayfly td.c4,.dayfly td.c5,.dayfly td.c7{width:auto}\
.dayfly .c2,.dayfly .c2 .soft{overflow:visible;white-space:normal}\
.dayfly td.c1{grid-area:1/1}.dayfly td.c7{grid-area:1/2}.dayfly td.c2{grid-area:2/1}.dayfly td.c5{grid-area:2/2}\
.dayfly td.c3{grid-area:3/1;font-size:12px;color:var(--soft)}.dayfly td.c3 div{display:inline}\
.dayfly td.c3 div::before{content:' · '}\
.dayfly td.c4{grid-area:3/2;font-size:12px}.dayfly td.c6{display:none}\
";
