# SPDX-License-Identifier: MIT
# Bars of the ratios to native, two a row.
set terminal svg size 860, 90 + 26 * rows font "sans-serif,13" noenhanced
set output output
set logscale x 2
set xrange [0.7 : *]
set yrange [rows - 0.4 : -0.6]
set lmargin 26
set rmargin 8
set ytics scale 0
set key outside top center horizontal samplen 1
set xlabel "instructions under Pilae : instructions natively (OpenSBI)" textcolor rgb grey
set arrow from 1, graph 0 to 1, graph 1 nohead linecolor rgb grey linewidth 1.5
set style fill solid 0.9 noborder
# Of each engine that was measured, below its bar's place: gnuplot 5.4 ends where all labels are NaN.
name(n) = n + 0 == 2 ? "hext" : "soft"
colour(n) = n + 0 == 2 ? blue : orange
top(n) = n + 0 == 2 ? -0.38 : 0.02
ratio(n) = column(n + 0)
plot for [n in columns] $data using (1):0:(1):(ratio(n)):($0 + top(n)):($0 + top(n) + 0.36):ytic(1) \
	with boxxyerror linecolor rgb colour(n) title name(n), \
	for [n in columns] $data using (ratio(n) > 1 ? ratio(n) : 1):($0 + top(n) + 0.18):\
	(sprintf("%.2f", ratio(n))) with labels left offset 0.4,0 font ",10" textcolor rgb grey notitle
