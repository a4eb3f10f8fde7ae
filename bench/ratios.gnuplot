# SPDX-License-Identifier: MIT
# Bars of the ratios to native. Called with: data, output, engine, the number of
# bars, the least and the most ratio.
# Greys and blues that can be read on white and on black.
set terminal svg size 860, 60 + 22 * bars font "sans-serif,13" noenhanced
set output output
set datafile separator "\t"
set border 3 linecolor rgb "#7d7d7d"
set key off
set logscale x
set xrange [(least < 0.5 ? least : 0.5) : (most > 2 ? most : 2) * 2]
set yrange [bars - 0.4 : -0.6]
set lmargin 30
set rmargin 10
set xtics nomirror textcolor rgb "#7d7d7d"
set ytics nomirror textcolor rgb "#7d7d7d" scale 0
set grid xtics linecolor rgb "#7d7d7d" linewidth 0.3
set xlabel sprintf("instructions under Pilae (%s) : instructions natively", engine) \
	textcolor rgb "#7d7d7d"
set arrow from 1, graph 0 to 1, graph 1 nohead linecolor rgb "#7d7d7d" linewidth 1.5
set style fill solid 0.9 noborder
plot data using (1):0:(1):2:($0 - 0.35):($0 + 0.35):ytic(1) with boxxyerror \
	linecolor rgb "#3f83c8", \
	data using 3:0:4 with labels left offset 0.6,0 textcolor rgb "#7d7d7d"
