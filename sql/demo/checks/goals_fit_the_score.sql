-- description: The goals of a team's players do not exceed its goals in the match
SELECT match_id, team_id, score, sum(goals) AS goals_of_players
FROM (
    SELECT
        player_stats.match_id,
        player_stats.team_id,
        player_stats.goals,
        CASE player_stats.team_id
            WHEN matches.home_team_id THEN matches.home_goals
            WHEN matches.away_team_id THEN matches.away_goals
        END AS score
    FROM player_stats
    JOIN matches ON matches.id = player_stats.match_id
) AS scorers
GROUP BY match_id, team_id, score
-- No score: the match was not played, or this team was not in it.
HAVING score IS NULL OR sum(goals) > score
ORDER BY match_id, team_id
