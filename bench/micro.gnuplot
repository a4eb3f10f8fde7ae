# SPDX-License-Identifier: MIT
# Points on a line a row: what one operation takes. None at all is shown as one half.
set terminal svg size 860, 90 + 22 * rows font "sans-serif,13" noenhanced
set output output
set logscale x
set xrange [0.4 : *]
set format x "%.0f"
set yrange [rows - 0.4 : -0.6]
set lmargin 26
set ytics scale 0
set grid ytics linecolor rgb grey linewidth 0.3
set key outside top center horizontal
set xlabel "instructions (logarithmic)" textcolor rgb grey
at(n) = column(n) >= 0 ? (column(n) > 0.5 ? column(n) : 0.5) : NaN
plot $data using (at(2)):0:ytic(1) with points pointtype 6 pointsize 0.9 linewidth 2 \
	linecolor rgb grey title "native, OpenSBI", \
	$data using (at(3)):0 with points pointtype 4 pointsize 0.9 linewidth 2 \
	linecolor rgb green title "native, Pilae's firmware", \
	$data using (at(4)):0 with points pointtype 7 pointsize 0.6 linecolor rgb blue title "hext", \
	$data using (at(5)):0 with points pointtype 5 pointsize 0.5 linecolor rgb orange title "soft"
